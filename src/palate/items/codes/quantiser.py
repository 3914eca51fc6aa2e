"""The interface of learned quantisers, which encode vectors as codes and decode codes."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from palate.errors import ArtifactError

TENSORS = "quantiser.safetensors"


@runtime_checkable
class Quantiser(Protocol):
    """Fitted codebooks; the codes of a vector do not depend on other vectors."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each level."""
        ...

    def encode(self, vectors: Float[np.ndarray, "items dim"]) -> Int[np.ndarray, "items levels"]:
        """Return the nearest codes of each vector; two items may get equal codes."""
        ...

    def decode(self, codes: Int[np.ndarray, "items levels"]) -> Float[np.ndarray, "items dim"]:
        """Return the vectors that the codes represent."""
        ...

    def last_costs(
        self, vectors: Float[np.ndarray, "items dim"], codes: Int[np.ndarray, "items levels"]
    ) -> Float[np.ndarray, "items size"]:
        """Return the squared distance to each code of the last level, given the levels before."""
        ...

    def save(self, folder: Path) -> None:
        """Write the codebooks."""
        ...


def numbered_codes(
    quantiser: Quantiser, vectors: Float[np.ndarray, "items dim"]
) -> Int[np.ndarray, "items levels"]:
    """Return the codes of vectors, numbered level after level as one alphabet."""
    bases = np.cumsum([0, *quantiser.sizes[:-1]])
    return np.asarray(quantiser.encode(vectors) + bases, dtype=np.int32)


def save_arrays(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays of a quantiser."""
    # safetensors writes raw memory: an array that is not in C order would load transposed.
    save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, folder / TENSORS)


def load_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Read what :func:`save_arrays` wrote.

    Raises:
        ArtifactError: when the file is missing or damaged.
    """
    try:
        return dict(load_file(folder / TENSORS))
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"{str(folder / TENSORS)!r} cannot be read: {error}.", hint="Make the codes again."
        ) from error


def codebooks_of(folder: Path, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return ``codebook.0``, ``codebook.1``, ... of stored arrays.

    Raises:
        ArtifactError: when there is no codebook, or one is missing.
    """
    count = sum(name.startswith("codebook.") for name in arrays)
    try:
        found = tuple(arrays[f"codebook.{level}"] for level in range(count))
    except KeyError as error:
        raise ArtifactError(
            f"{str(folder / TENSORS)!r} lacks {error}.", hint="Make the codes again."
        ) from error
    if not found:
        raise ArtifactError(
            f"{str(folder / TENSORS)!r} holds no codebook.", hint="Make the codes again."
        )
    return found


def numbered(codebooks: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """Return codebooks under the names that :func:`codebooks_of` reads."""
    return {f"codebook.{level}": codebook for level, codebook in enumerate(codebooks)}
