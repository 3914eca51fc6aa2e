"""A tiny random model as text encoder: mean pooling, storage, and a model that is gone."""

from pathlib import Path

import numpy as np
import pytest

from palate.errors import ArtifactError, ConfigError, MissingExtraError
from palate.items.text import TextEncoderConfig, fit_text_encoder, load_text_encoder

transformers = pytest.importorskip("transformers")


def _save_tiny_model(folder: Path, seed: int) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "red", "blue", "shoe", "hat"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=6,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    transformers.BertModel(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-bert")
    _save_tiny_model(folder, seed=0)
    return folder


def test_batch_equals_single_and_reads_back(model_folder: Path, tmp_path: Path) -> None:
    config = TextEncoderConfig(kind="transformers", path=str(model_folder))
    encoder = fit_text_encoder(config, [], seed=0)
    texts = ["red shoe", "", "blue hat red shoe hat", "hat " * 40]
    vectors = encoder.encode(texts)
    assert vectors.present.tolist() == [True, False, True, True]
    assert encoder.dim == vectors.dim == 8
    single = [encoder.encode([text]).values[0] for text in texts]
    np.testing.assert_allclose(vectors.values, single, atol=1e-5)
    encoder.save(tmp_path)
    again = load_text_encoder(tmp_path)
    assert (again.dim, again.fingerprint) == (encoder.dim, encoder.fingerprint)
    np.testing.assert_array_equal(again.encode(texts).values, vectors.values)


def test_a_model_that_changed_is_refused(tmp_path: Path) -> None:
    _save_tiny_model(tmp_path / "model", seed=0)
    config = TextEncoderConfig(kind="transformers", path=str(tmp_path / "model"))
    fit_text_encoder(config, [], seed=0).save(tmp_path / "encoder")
    _save_tiny_model(tmp_path / "model", seed=1)
    with pytest.raises(ArtifactError, match="changed"):
        load_text_encoder(tmp_path / "encoder").encode(["red"])


def test_no_such_model_and_no_transformers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = TextEncoderConfig(kind="transformers", path=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="nowhere"):
        fit_text_encoder(config, [], seed=0)
    monkeypatch.setattr("palate.items.transformers_text.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"palate\[hf\]"):
        fit_text_encoder(config, [], seed=0)
