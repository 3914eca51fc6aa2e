"""TF-IDF with singular vectors: sizes, absent texts, storage and agreement with the textbook."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import sparse

from palate.errors import ArtifactError, ConfigError
from palate.items.text import (
    TextEncoderConfig,
    fit_text_encoder,
    load_text_encoder,
    right_singular_vectors,
)
from palate.items.vectors import ItemVectors

TEXTS = [
    "Red cotton shirt",
    "Blue cotton shirt",
    "Red leather shoe",
    "Steel kitchen knife",
    "Kitchen pan of steel",
]


def _many(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(f"w{w}" for w in rng.zipf(1.5, 12) if w < 900) for _ in range(count)]


def _cosines(vectors: ItemVectors) -> np.ndarray:
    return vectors.values @ vectors.values.T / vectors.dim


def test_tiny_catalogue_keeps_every_direction_it_has() -> None:
    encoder = fit_text_encoder(TextEncoderConfig(), TEXTS, seed=0)
    vectors = encoder.encode(TEXTS)
    assert encoder.dim == vectors.dim == 5
    cosines = _cosines(vectors)
    assert cosines[0, 1] > 0.3 > abs(cosines[0, 3])
    np.testing.assert_allclose(np.diag(cosines), 1, rtol=1e-4)


def test_full_rank_keeps_the_cosines_of_tfidf() -> None:
    # By reasoning: with all directions kept the projection is a rotation, so cosines stay.
    lists = [text.lower().split() for text in TEXTS]
    words = sorted({word for words in lists for word in words})
    exact = np.array([[words_of.count(word) for word in words] for words_of in lists], dtype=float)
    exact *= 1 + np.log(6 / (1 + (exact > 0).sum(0)))
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    vectors = fit_text_encoder(TextEncoderConfig(), TEXTS, seed=0).encode(TEXTS)
    np.testing.assert_allclose(_cosines(vectors), exact @ exact.T, atol=2e-3)


def test_few_directions_capture_as_much_as_the_exact_decomposition() -> None:
    rng = np.random.default_rng(1)
    dense = rng.standard_normal((60, 8)) @ rng.standard_normal((8, 40))
    dense = (dense + 0.1 * rng.standard_normal(dense.shape)).astype(np.float32)
    found = right_singular_vectors(sparse.csr_array(dense), 6, rng)
    np.testing.assert_allclose(found.T @ found, np.eye(6), atol=1e-4)
    best = np.square(np.linalg.svd(dense, compute_uv=False)[:6]).sum()
    assert np.square(dense @ found).sum() == pytest.approx(best, rel=1e-3)


def test_rank_limits_dim() -> None:
    encoder = fit_text_encoder(TextEncoderConfig(dim=64), ["same words"] * 300, seed=0)
    assert encoder.dim == 1


def test_dim_is_what_was_asked_where_there_is_enough() -> None:
    assert fit_text_encoder(TextEncoderConfig(dim=16), _many(400), seed=0).dim == 16


def test_same_seed_same_vectors() -> None:
    texts = _many(300)
    first, second = (fit_text_encoder(TextEncoderConfig(dim=8), texts, seed=3) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.encode(texts).values, second.encode(texts).values)


def test_empty_and_unknown_texts_are_absent() -> None:
    encoder = fit_text_encoder(TextEncoderConfig(), TEXTS, seed=0)
    vectors = encoder.encode(["", "  ", "zzz", "shirt"])
    assert vectors.present.tolist() == [False, False, False, True]
    assert not vectors.values[:3].any()


def test_no_text_at_all_gives_absent_vectors() -> None:
    encoder = fit_text_encoder(TextEncoderConfig(), ["", ""], seed=0)
    assert encoder.dim == 1
    assert not encoder.encode(["", "anything"]).present.any()
    assert len(encoder.encode([])) == 0


def test_languages_written_without_spaces_have_words() -> None:
    encoder = fit_text_encoder(TextEncoderConfig(), ["茶色の靴", "赤い靴", "Café crème"], seed=0)
    cosines = _cosines(encoder.encode(["靴", "赤い靴", "café"]))
    assert cosines[0, 1] > 0.2 > abs(cosines[0, 2])


@pytest.mark.parametrize("texts", [TEXTS, _many(300), ["", ""]])
def test_read_back_encodes_unseen_text_identically(tmp_path: Path, texts: list[str]) -> None:
    encoder = fit_text_encoder(TextEncoderConfig(dim=8), texts, seed=0)
    encoder.save(tmp_path / "encoder")
    again = load_text_encoder(tmp_path / "encoder")
    unseen = ["a red kitchen shirt", "w1 w2 w77 unknown", ""]
    np.testing.assert_array_equal(again.encode(unseen).values, encoder.encode(unseen).values)
    assert (again.dim, again.fingerprint) == (encoder.dim, encoder.fingerprint)


def test_progress_ends_at_the_total() -> None:
    texts = _many(5_000)
    seen: list[tuple[int, int]] = []
    encoder = fit_text_encoder(TextEncoderConfig(dim=4), texts, seed=0)
    encoder.encode(texts, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4_096, 5_000), (5_000, 5_000)]


@given(st.lists(st.text(max_size=30), max_size=8))
@settings(max_examples=30, deadline=None)
def test_any_text_can_be_fitted_and_encoded(texts: list[str]) -> None:
    vectors = fit_text_encoder(TextEncoderConfig(dim=4), texts, seed=0).encode(texts)
    assert vectors.values.shape == (len(texts), vectors.dim)
    assert np.isfinite(vectors.values).all()


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No text encoder"):
        load_text_encoder(tmp_path)
    (tmp_path / "text_encoder.json").write_text(json.dumps({"kind": "of the future"}))
    with pytest.raises(ArtifactError, match="of the future"):
        load_text_encoder(tmp_path)
    fit_text_encoder(TextEncoderConfig(), TEXTS, seed=0).save(tmp_path)
    (tmp_path / "text_encoder.json").write_text(json.dumps({"kind": "tfidf-svd", "words": ["a"]}))
    with pytest.raises(ArtifactError, match="1 words"):
        load_text_encoder(tmp_path)


def test_config_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        TextEncoderConfig.model_validate({"kind": "word2vec"})
    with pytest.raises(ConfigError, match="needs a model"):
        fit_text_encoder(TextEncoderConfig(kind="transformers"), TEXTS, seed=0)
