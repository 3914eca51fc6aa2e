"""Export of the compact decoder in the format of ``LlamaForCausalLM`` of ``transformers``."""

import json
from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from palate.models.decoder import NORM_EPSILON, Block, Decoder, DecoderConfig


def llama_config(config: DecoderConfig, vocabulary_size: int) -> dict[str, object]:
    """Return the ``config.json`` of ``transformers``' ``LlamaForCausalLM`` of the same size."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.width // config.heads,
        "rms_norm_eps": NORM_EPSILON,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "rope_theta": config.rope_theta,
        "hidden_act": "silu",
        "vocab_size": vocabulary_size,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "torch_dtype": "float32",
    }


def llama_state_dict(
    decoder: Decoder, words: Float[Tensor, "vocabulary width"]
) -> dict[str, Tensor]:
    """Return the weights and the word embeddings under the names ``LlamaForCausalLM`` uses."""
    named = {"model.embed_tokens.weight": words, "model.norm.weight": decoder.norm.weight}
    for depth, block in enumerate(decoder.blocks):
        assert isinstance(block, Block)
        q, k, v = block.attention.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        layer: Mapping[str, Tensor] = {
            "self_attn.q_proj": q,
            "self_attn.k_proj": k,
            "self_attn.v_proj": v,
            "self_attn.o_proj": block.attention.out.weight,
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": block.down.weight,
            "input_layernorm": block.attention_norm.weight,
            "post_attention_layernorm": block.mlp_norm.weight,
        }
        named |= {f"model.layers.{depth}.{name}.weight": weight for name, weight in layer.items()}
    return {name: weight.detach().contiguous().clone() for name, weight in named.items()}


def export_llama(folder: Path, decoder: Decoder, words: Float[Tensor, "vocabulary width"]) -> None:
    """Write a folder that ``AutoModelForCausalLM.from_pretrained`` of ``transformers`` loads."""
    folder.mkdir(parents=True, exist_ok=True)
    config = llama_config(decoder.config, len(words))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = llama_state_dict(decoder, words)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
