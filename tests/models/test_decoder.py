"""The decoder has the Llama architecture: the same weights give the same numbers as there."""

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from palate.models.decoder import Decoder, DecoderConfig, rotary
from palate.models.llama_export import export_llama, llama_config, llama_state_dict

CONFIG = DecoderConfig(width=32, layers=3, heads=4, rope_theta=500.0)
VOCABULARY = 50


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    return pytest.importorskip("transformers", reason="needs the extra 'hf'")


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    made = Decoder(CONFIG).eval()
    for name, weight in made.named_parameters():
        if "norm" in name:  # gains of one would hide a norm in the wrong place
            torch.nn.init.uniform_(weight, 0.5, 1.5)
        else:  # as loud as after training: a fresh decoder adds next to nothing
            torch.nn.init.normal_(weight, std=0.2)
    return made


@pytest.fixture(scope="module")
def words() -> Tensor:
    return torch.randn(VOCABULARY, CONFIG.width, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(2))


def _hidden(decoder: Decoder, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return decoder(x, torch.arange(x.shape[1])[None])[0]


def test_logits_are_those_of_llama(
    transformers: ModuleType, decoder: Decoder, words: Tensor, tokens: Tensor
) -> None:
    config = transformers.LlamaConfig(**llama_config(CONFIG, VOCABULARY))
    reference = transformers.LlamaForCausalLM(config).eval()
    missing, unexpected = reference.load_state_dict(llama_state_dict(decoder, words), strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}, "tied to the embeddings"
    reference.tie_weights()
    with torch.inference_mode():
        expected = reference(tokens, output_hidden_states=True)
    hidden = _hidden(decoder, words[tokens])
    torch.testing.assert_close(hidden, expected.hidden_states[-1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(hidden @ words.T, expected.logits, atol=1e-4, rtol=1e-5)


def test_an_exported_folder_is_loaded_by_transformers(
    transformers: ModuleType, decoder: Decoder, words: Tensor, tokens: Tensor, tmp_path: Path
) -> None:
    export_llama(tmp_path / "llama", decoder, words)
    assert {path.name for path in (tmp_path / "llama").iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    json.loads((tmp_path / "llama" / "config.json").read_text())
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "llama", local_files_only=True
    ).eval()
    with torch.inference_mode():
        logits = loaded(tokens).logits
    torch.testing.assert_close(
        _hidden(decoder, words[tokens]) @ words.T, logits, atol=1e-4, rtol=1e-5
    )


def test_export_copies_the_weights(decoder: Decoder, words: Tensor) -> None:
    state = llama_state_dict(decoder, words)
    state["model.norm.weight"].zero_()
    assert decoder.norm.weight.abs().sum() > 0


@pytest.mark.parametrize("length", [1, 4, 8])
def test_a_cached_prefix_changes_nothing(
    decoder: Decoder, words: Tensor, tokens: Tensor, length: int
) -> None:
    x = words[tokens]
    whole = _hidden(decoder, x)
    positions = torch.arange(9)[None]
    with torch.inference_mode():
        _, past = decoder(x[:, :length], positions[:, :length])
        mask = torch.ones(9, 9, dtype=torch.bool).tril()[length:][None, None]
        rest, _ = decoder(x[:, length:], positions[:, length:], mask=mask, past=past)
    torch.testing.assert_close(rest, whole[:, length:], atol=1e-5, rtol=1e-5)


def test_rows_may_share_one_prefix(decoder: Decoder, words: Tensor, tokens: Tensor) -> None:
    shared = words[tokens[:1, :4]]
    own = words[tokens[:, 4:]]
    whole = _hidden(decoder, torch.cat([shared.expand(2, -1, -1), own], dim=1))
    with torch.inference_mode():
        _, past = decoder(shared, torch.arange(4)[None])
        mask = torch.ones(9, 9, dtype=torch.bool).tril()[4:][None, None]
        rest, _ = decoder(own, torch.arange(4, 9)[None], mask=mask, past=past)
    torch.testing.assert_close(rest, whole[:, 4:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("answer_from", [1, 5, 8])
@pytest.mark.parametrize("masked", [True, False])
def test_the_last_layer_may_skip_unneeded_positions(
    decoder: Decoder, words: Tensor, tokens: Tensor, answer_from: int, masked: bool
) -> None:
    x, positions = words[tokens], torch.arange(9)[None]
    mask = torch.ones(9, 9, dtype=torch.bool).tril()[None, None] if masked else None
    with torch.inference_mode():
        part, keys_values = decoder(x, positions, mask=mask, answer_from=answer_from)
    torch.testing.assert_close(part, _hidden(decoder, x)[:, answer_from:], atol=1e-5, rtol=1e-5)
    assert all(keys.shape[2] == 9 for keys, _ in keys_values), "later tokens may need them all"


def test_a_causal_mask_is_no_mask(decoder: Decoder, words: Tensor, tokens: Tensor) -> None:
    x, positions = words[tokens], torch.arange(9)[None]
    with torch.inference_mode():
        masked, _ = decoder(
            x, positions, mask=torch.ones(9, 9, dtype=torch.bool).tril()[None, None]
        )
    torch.testing.assert_close(masked, _hidden(decoder, x), atol=1e-5, rtol=1e-5)


def test_a_token_sees_nothing_after_it(decoder: Decoder, words: Tensor, tokens: Tensor) -> None:
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % VOCABULARY
    one, two = _hidden(decoder, words[tokens]), _hidden(decoder, words[changed])
    torch.testing.assert_close(one[:, :5], two[:, :5])
    assert (one[:, 5:] - two[:, 5:]).abs().max() > 0.01


def test_only_distances_between_positions_matter(
    decoder: Decoder, words: Tensor, tokens: Tensor
) -> None:
    x = words[tokens]
    with torch.inference_mode():
        moved, _ = decoder(x, torch.arange(100, 109)[None])
    torch.testing.assert_close(moved, _hidden(decoder, x), atol=1e-4, rtol=1e-4)


def test_position_zero_is_not_turned() -> None:
    cosine, sine = rotary(torch.zeros(1, 3, dtype=torch.long), CONFIG)
    assert (cosine == 1).all()
    assert (sine == 0).all()


def test_feed_forward_width_is_eight_thirds_unless_given() -> None:
    assert DecoderConfig(width=128).hidden == 320
    assert DecoderConfig(width=8, heads=1).hidden == 32
    assert DecoderConfig(width=128, mlp_width=77).hidden == 77


def test_width_must_fit_the_heads() -> None:
    with pytest.raises(ValidationError, match="multiple of 2 x heads"):
        DecoderConfig(width=36, heads=4)
