"""A tiny random vision transformer as image encoder."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palate.errors import ConfigError, MissingExtraError
from palate.items.image import ImageEncoderConfig, load_image_encoder, make_image_encoder

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp("tiny-vit")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
    )
    transformers.ViTModel(config).save_pretrained(folder)
    size = {"height": 16, "width": 16}
    transformers.ViTImageProcessorPil(size=size).save_pretrained(folder)
    return folder


def _picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 30), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def test_encodes_and_reads_back(model_folder: Path, tmp_path: Path) -> None:
    encoder = make_image_encoder(ImageEncoderConfig(kind="transformers", path=str(model_folder)))
    images = [_picture("red"), None, _picture("blue"), _picture("red")]
    vectors = encoder.encode(images)
    assert vectors.values.shape == (4, encoder.dim) == (4, 12)
    assert vectors.present.tolist() == [True, False, True, True]
    np.testing.assert_allclose(vectors.values[0], vectors.values[3], atol=1e-5)
    assert np.abs(vectors.values[0] - vectors.values[2]).max() > 1e-3
    encoder.save(tmp_path)
    again = load_image_encoder(tmp_path)
    np.testing.assert_array_equal(again.encode(images).values, vectors.values)


def test_no_such_model_and_no_transformers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = ImageEncoderConfig(kind="transformers", path=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="nowhere"):
        make_image_encoder(config)
    monkeypatch.setattr("palate.items.transformers_image.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"palate\[hf\]"):
        make_image_encoder(config)
