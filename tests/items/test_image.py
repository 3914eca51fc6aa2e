"""The built-in image features see colour, place and direction, and broken files are named."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from palate.errors import ArtifactError, ConfigError, DataError
from palate.items.image import (
    BuiltInImageEncoder,
    ImageEncoderConfig,
    load_image_encoder,
    make_image_encoder,
    picture_features,
)


def _encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return buffer.getvalue()


def _plain(colour: str, size: tuple[int, int] = (32, 32)) -> Image.Image:
    return Image.new("RGB", size, colour)


def _striped(*, upright: bool) -> Image.Image:
    picture = _plain("white", (48, 48))
    draw = ImageDraw.Draw(picture)
    for at in range(0, 48, 8):
        draw.line([(at, 0), (at, 47)] if upright else [(0, at), (47, at)], fill="black", width=2)
    return picture


def test_colour_decides_likeness() -> None:
    encoder = BuiltInImageEncoder()
    images = [_plain("red"), _plain("#e01010", (90, 40)), _plain("blue")]
    vectors = encoder.encode([_encoded(image) for image in images])
    cosines = vectors.values @ vectors.values.T / vectors.dim
    assert cosines[0, 1] > 0.85 > cosines[0, 2] + 0.3


def test_direction_of_edges_tells_stripes_apart() -> None:
    pixels = np.stack([np.asarray(_striped(upright=True)), np.asarray(_striped(upright=False))])
    edges = picture_features(pixels)[:, -32:].reshape(2, 4, 8)
    # Upright stripes change across (direction 0), level ones downwards (half a turn).
    assert (edges[0].argmax(-1) == 0).all()
    assert (edges[1].argmax(-1) == 4).all()


def test_histograms_sum_to_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    features = picture_features(pixels)
    assert features.shape == (3, BuiltInImageEncoder().dim)
    np.testing.assert_allclose(np.square(features[:, 72:80]).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.abs(features[:, :72]).max(1) <= 0.5, True)


def test_missing_images_are_absent_and_batch_equals_single() -> None:
    encoder = BuiltInImageEncoder()
    images = [_encoded(_plain("red")), None, _encoded(_striped(upright=True), "JPEG")]
    vectors = encoder.encode(images)
    assert vectors.present.tolist() == [True, False, True]
    for image, row in zip(images, vectors.values, strict=True):
        np.testing.assert_allclose(encoder.encode([image]).values[0], row, rtol=1e-5)
    assert len(encoder.encode([])) == 0


def test_transparent_means_white_and_modes_do_not_matter() -> None:
    encoder = BuiltInImageEncoder()
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    white = [clear, _plain("white"), Image.new("L", (16, 16), 255), Image.new("1", (8, 8), 1)]
    values = encoder.encode([_encoded(picture) for picture in white]).values
    np.testing.assert_allclose(values, np.tile(values[0], (4, 1)), atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_broken_bytes_are_named_by_item(content: bytes) -> None:
    with pytest.raises(DataError, match="image of item 1"):
        BuiltInImageEncoder().encode([_encoded(_plain("red")), content])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_cut_or_changed_files_never_end_in_another_error(kind: str) -> None:
    whole = _encoded(_striped(upright=True), kind)
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            BuiltInImageEncoder().encode([bytes(damaged)])
        except DataError as error:
            assert "image of item 0" in error.message  # noqa: PT017 - either outcome is right


def test_a_huge_picture_is_refused_before_it_is_unpacked() -> None:
    small = bytearray(_encoded(_plain("red")))
    # Width and height of a PNG lie at byte 16; the checksum of that block follows at 29.
    small[16:24] = struct.pack(">II", 30_000, 30_000)
    small[29:33] = struct.pack(">I", zlib.crc32(bytes(small[12:29])))
    with pytest.raises(DataError, match="image of item 0"):
        BuiltInImageEncoder().encode([bytes(small)])


def test_read_back(tmp_path: Path) -> None:
    encoder = make_image_encoder(ImageEncoderConfig())
    encoder.save(tmp_path)
    assert load_image_encoder(tmp_path).fingerprint == encoder.fingerprint
    (tmp_path / "image_encoder.json").write_text('{"kind": "built-in", "fingerprint": "older"}')
    with pytest.raises(ArtifactError, match="older"):
        load_image_encoder(tmp_path)
    with pytest.raises(ArtifactError, match="No image encoder"):
        load_image_encoder(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="needs a model"):
        make_image_encoder(ImageEncoderConfig(kind="transformers"))
