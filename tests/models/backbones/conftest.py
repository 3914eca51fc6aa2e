"""Small random checkpoints, saved as a user finds them: weights, settings and a tokenizer."""

from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")

VOCABULARY = 50
_SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
}
_BART = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "scale_embedding": True,
    "dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
}
_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}


def _models() -> dict[str, "transformers.PreTrainedModel"]:
    make = transformers
    return {
        "llama": make.LlamaForCausalLM(make.LlamaConfig(**_SIZE, tie_word_embeddings=False)),
        "qwen2": make.Qwen2ForCausalLM(make.Qwen2Config(**_SIZE, tie_word_embeddings=True)),
        "qwen3": make.Qwen3ForCausalLM(make.Qwen3Config(**_SIZE, head_dim=8)),
        "gpt2": make.GPT2LMHeadModel(make.GPT2Config(**_GPT2)),
        "t5": make.T5ForConditionalGeneration(make.T5Config(**_T5)),
        "mt5": make.MT5ForConditionalGeneration(
            make.MT5Config(**_T5, tie_word_embeddings=False, feed_forward_proj="gated-gelu")
        ),
        "bart": make.BartForConditionalGeneration(make.BartConfig(**_BART)),
    }


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = ["<pad>", "<s>", "</s>", "<unk>", "red", "blue", "shoe", "hat", "<", ">", "/s", "pad"]
    numbers = {word: number for number, word in enumerate(words)}
    raw = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.decoder = decoders.WordPiece()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    fast.save_pretrained(folder)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder per kind; the weights are louder than fresh ones, so that they tell apart."""
    folders = {}
    torch.manual_seed(0)
    for kind, model in _models().items():
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.ndim > 1 and "embed" not in name and "shared" not in name:
                    torch.nn.init.normal_(weight, std=0.2)
        folders[kind] = tmp_path_factory.mktemp(kind)
        model.save_pretrained(folders[kind])
        save_tokenizer(folders[kind])
    return folders
