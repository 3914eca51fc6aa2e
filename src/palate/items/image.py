"""Image encoders with one interface: encoded pictures in, one vector per item out.

The built-in encoder needs no weights: it uses colour layout, colour histograms and edge directions.
"""

import io
import json
import logging
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict

from palate.errors import ArtifactError, ConfigError, DataError
from palate.items.vectors import ItemVectors, Progress

_logger = logging.getLogger(__name__)

MAX_PIXELS = 40_000_000
"""A picture that declares more pixels is refused before it is decoded."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_SIDE = 48
_BATCH = 256
_JSON = "image_encoder.json"


@runtime_checkable
class ImageEncoder(Protocol):
    """Anything that turns encoded pictures into vectors of one width."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the encoder: equal fingerprints give equal vectors."""
        ...

    def encode(
        self, images: Sequence[bytes | None], *, progress: Progress | None = None
    ) -> ItemVectors:
        """Return one vector per picture; a picture that is None has no vector."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files that :func:`load_image_encoder` reads."""
        ...


class ImageEncoderConfig(BaseModel):
    """Choice of the image encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["built-in", "transformers"] = "built-in"
    path: str | None = None
    """Name or folder of the model, for ``transformers``."""


def make_image_encoder(config: ImageEncoderConfig) -> ImageEncoder:
    """Return the encoder that ``config`` describes.

    Raises:
        ConfigError: when ``transformers`` is chosen without a path, or the path holds no model.
        MissingExtraError: when ``transformers`` is not installed.
    """
    if config.kind == "built-in":
        return BuiltInImageEncoder()
    from palate.items.transformers_image import TransformersImageEncoder

    if config.path is None:
        raise ConfigError(
            "The image encoder 'transformers' needs a model and none was given.",
            hint="Set path to a model's name or folder.",
        )
    return TransformersImageEncoder.open(config.path)


def load_image_encoder(folder: Path) -> ImageEncoder:
    """Load what an encoder's ``save`` wrote; pretrained weights are loaded on first use.

    Raises:
        ArtifactError: when the folder holds no image encoder that this version supports.
    """
    try:
        stored = json.loads((folder / _JSON).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"No image encoder in {str(folder)!r}: {error}.", hint="Make the folder again."
        ) from error
    if stored.get("kind") == "transformers":
        from palate.items.transformers_image import TransformersImageEncoder

        return TransformersImageEncoder(
            path=stored["path"], dim=stored["dim"], fingerprint=stored["fingerprint"]
        )
    encoder = BuiltInImageEncoder()
    if stored.get("fingerprint") != encoder.fingerprint:
        raise ArtifactError(
            f"The image encoder in {str(folder)!r} is {stored.get('fingerprint')!r}, "
            f"this version has {encoder.fingerprint!r}.",
            hint="Train the model again, or install the version of Palate that made it.",
        )
    return encoder


def save_description(folder: Path, description: dict[str, object]) -> None:
    """Write the JSON from which :func:`load_image_encoder` restores an encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _JSON).write_text(json.dumps(description) + "\n", encoding="utf-8")


def open_image(content: bytes, item: int, side: int) -> Image.Image:
    """Return the picture as RGB, ``side`` x ``side`` pixels, on white where it is transparent.

    Raises:
        DataError: naming the ``item``, when the bytes are not a picture, are truncated, or have too
            many pixels.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns about the size before our stricter limit is checked.
            warnings.simplefilter("error")
            picture = Image.open(io.BytesIO(content), formats=_FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(
                    f"The image of item {item} has {picture.width:,} x {picture.height:,} pixels; "
                    f"at most {MAX_PIXELS:,} are read.",
                    hint="Scale the image down.",
                )
            picture.draft("RGB", (4 * side, 4 * side))
            small = picture.convert("RGBA").resize((side, side), Image.Resampling.BOX)
    except _UNREADABLE as error:
        raise DataError(
            f"The image of item {item} cannot be read: {error}.",
            hint=f"Images must be whole {', '.join(_FORMATS)} files; leave a missing image empty.",
        ) from error
    white = Image.new("RGBA", small.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, small).convert("RGB")


_UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Warning,
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
)
"""Exceptions that Pillow's decoders raise on damaged files."""


@dataclass(frozen=True)
class BuiltInImageEncoder:
    """Fixed features of the picture at 48 x 48: colour layout, colour counts, edge directions."""

    dim: int = 4 * 6 * 3 + 3 * 8 + 12 + 6 + 6 + 4 * 8
    fingerprint: str = "built-in-1"

    def encode(
        self, images: Sequence[bytes | None], *, progress: Progress | None = None
    ) -> ItemVectors:
        """Return one vector per picture.

        Raises:
            DataError: naming the item whose picture cannot be read.
        """
        raw = np.zeros((len(images), self.dim), dtype=np.float32)
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            there = [(start + i, image) for i, image in enumerate(batch) if image is not None]
            if there:
                pixels = np.stack([np.asarray(open_image(image, i, _SIDE)) for i, image in there])
                raw[[i for i, _ in there]] = picture_features(pixels)
            if progress is not None:
                progress(start + len(batch), len(images))
        return ItemVectors.normalised(raw, np.array([i is not None for i in images], dtype=bool))

    def save(self, folder: Path) -> None:
        """Write the fingerprint; there are no weights."""
        save_description(folder, {"kind": "built-in", "fingerprint": self.fingerprint})


def picture_features(
    pixels: UInt8[np.ndarray, "pictures side side 3"],
) -> Float[np.ndarray, "pictures features"]:
    """Return the features of square pictures whose side is divisible by 4 and 6.

    They are a 4 x 6 grid of mean colours (minus middle grey); histograms of red, green and blue,
    and of hue (weighted by saturation), saturation and value; per quadrant a histogram of edge
    directions weighted by strength (after Dalal and Triggs, 2005). The square root of histograms is
    used, so that distances between them are Hellinger distances.
    """
    rgb = pixels.astype(np.float32) / 255
    count, side = rgb.shape[:2]
    grid = rgb.reshape(count, 4, side // 4, 6, side // 6, 3).mean((2, 4)).reshape(count, -1) - 0.5
    flat = rgb.reshape(count, -1, 3)
    hue, saturation, value = _hue_saturation_value(flat)
    histograms = [_histogram(flat[:, :, channel], 8) for channel in range(3)]
    histograms += [_histogram(hue, 12, saturation), _histogram(saturation, 6)]
    histograms += [_histogram(value, 6), *_edge_histograms(rgb.mean(-1))]
    return np.concatenate([grid, *(np.sqrt(h) for h in histograms)], axis=1).astype(np.float32)


def _histogram(
    values: Float[np.ndarray, "pictures pixels"],
    bins: int,
    weights: Float[np.ndarray, "pictures pixels"] | None = None,
) -> Float[np.ndarray, "pictures bins"]:
    """Return per picture the (weighted) share of pixels in each of ``bins`` equal parts of 0..1."""
    count, num_pixels = values.shape
    places = np.minimum((values * bins).astype(np.int64), bins - 1)
    places += np.arange(count)[:, None] * bins
    flat_weights = None if weights is None else weights.ravel()
    sums = np.bincount(places.ravel(), weights=flat_weights, minlength=count * bins)
    return np.asarray(sums.reshape(count, bins) / num_pixels)


def _hue_saturation_value(
    rgb: Float[np.ndarray, "pictures pixels 3"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value = rgb.max(-1)
    spread = value - rgb.min(-1)
    safe = np.where(spread > 0, spread, 1)
    sixths = np.select(
        [value == red, value == green],
        [(green - blue) / safe % 6, (blue - red) / safe + 2],
        (red - green) / safe + 4,
    )
    return sixths / 6 % 1, spread / np.maximum(value, 1e-6), value


def _edge_histograms(
    grey: Float[np.ndarray, "pictures side side"],
) -> list[Float[np.ndarray, "pictures bins"]]:
    down, across = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = np.arctan2(down, across) / np.pi % 1
    count, half = len(grey), grey.shape[1] // 2
    quadrants = [
        (slice(None), rows, columns)
        for rows in (slice(None, half), slice(half, None))
        for columns in (slice(None, half), slice(half, None))
    ]
    return [
        _histogram(direction[q].reshape(count, -1), 8, strength[q].reshape(count, -1))
        for q in quadrants
    ]
