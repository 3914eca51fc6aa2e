"""Optimised product quantisation: a rotation, then one codebook for each part of the vector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, PositiveInt

from palate.errors import ArtifactError
from palate.items.codes.kmeans import (
    BLOCK,
    k_means,
    lloyd,
    nearest,
    sample_rows,
    squared_distances,
)
from palate.items.codes.quantiser import (
    TENSORS,
    codebooks_of,
    load_arrays,
    numbered,
    save_arrays,
)

Codebooks = tuple[np.ndarray, ...]


class ProductConfig(BaseModel):
    """Settings of :class:`ProductQuantiser`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["product"] = "product"
    unique: Literal["digit", "sinkhorn", "own-token"] = "digit"
    """How the codes of items are made unique."""
    levels: PositiveInt = 4
    """Number of parts of the vector; VQ-Rec uses 32, ActionPiece 4."""
    size: PositiveInt = 256
    rounds: PositiveInt = 12
    """Alternations between rotation and codebooks."""
    iterations: PositiveInt = 2
    """Steps of k-means in each round."""
    sample: PositiveInt = 65_536
    """Maximum number of vectors to fit on; all are assigned codes."""


@dataclass(frozen=True, eq=False)
class ProductQuantiser:
    """Codes ``c_m``: the entry of codebook ``C_m`` nearest to part ``m`` of ``x R``.

    ``R`` (wide x wide, orthogonal) and the codebooks minimise ``|X R - Q(X R)|^2`` in turn: k-means
    in each part with ``R`` fixed, and with the codes fixed the Procrustes rotation ``R = U V'`` of
    ``X' Q = U S V'`` (Ge, He, Ke and Sun 2013; the item codes of VQ-Rec, Hou et al. 2023). The
    codes of an item have no order of importance, unlike residual ones. Vectors are padded with
    zeros to a multiple of the number of parts.
    """

    rotation: Float[np.ndarray, "wide wide"]
    codebooks: tuple[Float[np.ndarray, "_ part"], ...]
    dim: int
    objective: tuple[float, ...] = ()
    """Mean squared error after each round of the fit."""

    @classmethod
    def fit(
        cls,
        config: ProductConfig,
        vectors: Float[np.ndarray, "items dim"],
        *,
        rng: np.random.Generator,
    ) -> "ProductQuantiser":
        """Learn rotation and codebooks from a sample of the vectors."""
        dim = vectors.shape[1]
        sampled = vectors[sample_rows(len(vectors), config.sample, rng)]
        wide = _widened(sampled, -(-dim // config.levels) * config.levels)
        # The alternation only finds a local optimum, so that the start matters: with axes of very
        # unequal variance some parts would carry almost no information.
        rotation = balanced_axes(wide, config.levels)
        codebooks = tuple(
            k_means(part, config.size, iterations=config.iterations, rng=rng).centroids
            for part in _parts(wide @ rotation, config.levels)
        )
        objective = []
        for _ in range(config.rounds):
            # Each of the two steps lowers the error with the other side fixed. k-means goes on from
            # the present centroids; from new ones the error could rise.
            parts = _parts(wide @ rotation, config.levels)
            codebooks = tuple(
                lloyd(part, codebook, iterations=config.iterations).centroids
                for part, codebook in zip(parts, codebooks, strict=True)
            )
            target = _joined(_codes(parts, codebooks), codebooks)
            rotation = procrustes(wide, target)
            objective.append(float(np.square(wide @ rotation - target).sum(axis=1).mean()))
        return cls(rotation, codebooks, dim, tuple(objective))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each level; fewer than requested if there are few vectors."""
        return tuple(len(codebook) for codebook in self.codebooks)

    def encode(self, vectors: Float[np.ndarray, "items dim"]) -> Int[np.ndarray, "items levels"]:
        """Return the nearest code of each part."""
        blocks = [
            _codes(self._rotated(vectors[start : start + BLOCK]), self.codebooks)
            for start in range(0, len(vectors), BLOCK)
        ]
        return np.concatenate(blocks or [np.zeros((0, len(self.codebooks)), np.int32)])

    def decode(self, codes: Int[np.ndarray, "items levels"]) -> Float[np.ndarray, "items dim"]:
        """Return the concatenated centroids of the parts, rotated back."""
        return np.asarray((_joined(codes, self.codebooks) @ self.rotation.T)[:, : self.dim])

    def last_costs(
        self, vectors: Float[np.ndarray, "items dim"], codes: Int[np.ndarray, "items levels"]
    ) -> Float[np.ndarray, "items size"]:
        """Return the squared distance to each code of the last part."""
        return squared_distances(self._rotated(vectors)[-1], self.codebooks[-1])

    def save(self, folder: Path) -> None:
        """Write rotation and codebooks."""
        arrays = {"rotation": self.rotation, "dim": np.asarray([self.dim], dtype=np.int64)}
        save_arrays(folder, arrays | numbered(self.codebooks))

    @classmethod
    def load(cls, folder: Path) -> "ProductQuantiser":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: when the folder holds no rotation or no codebooks.
        """
        arrays = load_arrays(folder)
        if not {"rotation", "dim"} <= arrays.keys():
            raise ArtifactError(
                f"{str(folder / TENSORS)!r} holds no rotation.", hint="Make the codes again."
            )
        return cls(arrays["rotation"], codebooks_of(folder, arrays), int(arrays["dim"][0]))

    def _rotated(self, vectors: Float[np.ndarray, "items dim"]) -> list[np.ndarray]:
        return _parts(_widened(vectors, len(self.rotation)) @ self.rotation, len(self.codebooks))


def balanced_axes(
    vectors: Float[np.ndarray, "items wide"], num_parts: int
) -> Float[np.ndarray, "wide wide"]:
    """Return the principal axes, grouped so that every part has about the same variance.

    The remaining axis of largest variance goes to the part with room whose product of variances is
    smallest (the parametric solution of Ge et al. 2013, which is optimal for Gaussian data).
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(vectors))
    room = vectors.shape[1] // num_parts
    # Variances are multiplied as sums of logarithms, since products of many small ones underflow.
    dealt: list[list[int]] = [[] for _ in range(num_parts)]
    logs = np.zeros(num_parts)
    for axis in np.argsort(-variances, kind="stable"):
        open_parts = [part for part in range(num_parts) if len(dealt[part]) < room]
        part = min(open_parts, key=lambda candidate: logs[candidate])
        dealt[part].append(int(axis))
        logs[part] += np.log(max(variances[axis], 1e-12))
    return np.ascontiguousarray(axes[:, [a for part in dealt for a in part]], dtype=np.float32)


def procrustes(
    vectors: Float[np.ndarray, "items wide"], target: Float[np.ndarray, "items wide"]
) -> Float[np.ndarray, "wide wide"]:
    """Return the orthogonal R that minimises ``|X R - Y|`` (Schoenemann 1966): ``U V'`` of X'Y."""
    left, _, right = np.linalg.svd((vectors.T @ target).astype(np.float64))
    return np.asarray(left @ right, dtype=np.float32)


def _widened(vectors: Float[np.ndarray, "items dim"], width: int) -> np.ndarray:
    return np.pad(vectors, ((0, 0), (0, width - vectors.shape[1]))).astype(np.float32)


def _parts(rotated: Float[np.ndarray, "items wide"], num_parts: int) -> list[np.ndarray]:
    return [np.ascontiguousarray(part) for part in np.split(rotated, num_parts, axis=1)]


def _codes(parts: list[np.ndarray], codebooks: Codebooks) -> Int[np.ndarray, "items levels"]:
    chosen = [nearest(part, codebook) for part, codebook in zip(parts, codebooks, strict=True)]
    return np.stack(chosen, axis=1).astype(np.int32)


def _joined(
    codes: Int[np.ndarray, "items levels"], codebooks: Codebooks
) -> Float[np.ndarray, "items wide"]:
    chosen = [codebook[codes[:, level]] for level, codebook in enumerate(codebooks)]
    return np.concatenate(chosen, axis=1)
