"""Fixed vectors of a catalogue, one row per item, and a cache for them."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from palate.storage import write_whole

Progress = Callable[[int, int], None]
"""Called with (done, total) after each batch, since encoders do not print."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ItemVectors:
    """One vector per item; where ``present`` is False the row is zero and must be masked.

    Encoders scale each row to length ``sqrt(dim)``, so that its entries are of order 1 for any
    width.
    """

    values: Float[np.ndarray, "items dim"]
    """float32."""
    present: Bool[np.ndarray, " items"]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.values)

    @property
    def dim(self) -> int:
        """Width of one vector."""
        return int(self.values.shape[1])

    @classmethod
    def normalised(
        cls, raw: Float[np.ndarray, "items dim"], present: Bool[np.ndarray, " items"] | None = None
    ) -> "ItemVectors":
        """Scale rows to length ``sqrt(dim)``; a row of length (nearly) 0 counts as absent."""
        lengths = np.linalg.norm(raw, axis=1)
        there = lengths > 1e-6 if present is None else present & (lengths > 1e-6)
        scale = np.where(there, raw.shape[1] ** 0.5 / np.maximum(lengths, 1e-6), 0.0)
        return cls(values=(raw * scale[:, None]).astype(np.float32), present=there)


def side_by_side(kinds: Sequence[ItemVectors]) -> ItemVectors:
    """Concatenate several kinds of vectors per item, each scaled to length 1 (0 if absent).

    So all kinds have the same weight whatever their widths. An item is present if it has any kind.
    """
    if len(kinds) == 1:
        return kinds[0]
    values = [vectors.values / max(vectors.dim, 1) ** 0.5 for vectors in kinds]
    present = np.logical_or.reduce([vectors.present for vectors in kinds])
    return ItemVectors(np.concatenate(values, axis=1), present)


def content_key(fingerprint: str, contents: Iterable[str | bytes | None]) -> str:
    """Return the cache key of ``contents`` encoded by the encoder with this ``fingerprint``."""
    digest = hashlib.sha256(fingerprint.encode())
    for content in contents:
        if content is None:
            digest.update(b"\xff none")
            continue
        data = content.encode(errors="surrogatepass") if isinstance(content, str) else content
        # Hash the length first, so that ["ab", "c"] and ["a", "bc"] differ.
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]


def cached(folder: Path, key: str, make: Callable[[], ItemVectors]) -> ItemVectors:
    """Return the vectors stored under ``key`` in ``folder``, or compute and store them.

    Files are written atomically; one that cannot be read is computed again.
    """
    path = folder / f"{key}.safetensors"
    if path.is_file():
        try:
            stored = load_file(path)
            return ItemVectors(values=stored["values"], present=stored["present"])
        except (SafetensorError, KeyError, OSError) as error:
            _logger.warning("cached vectors %s cannot be read (%s); making them again", path, error)
    vectors = make()
    write_whole(path, save({"values": vectors.values, "present": vectors.present}))
    return vectors
