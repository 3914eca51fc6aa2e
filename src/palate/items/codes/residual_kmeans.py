"""Residual k-means: each level quantises the residual of the levels before."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, PositiveInt

from palate.items.codes.kmeans import BLOCK, k_means, nearest, sample_rows, squared_distances
from palate.items.codes.quantiser import codebooks_of, load_arrays, numbered, save_arrays


class ResidualKMeansConfig(BaseModel):
    """Settings of :class:`ResidualKMeans`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["residual-kmeans"] = "residual-kmeans"
    unique: Literal["digit", "sinkhorn", "own-token"] = "digit"
    """How the codes of items are made unique."""
    levels: PositiveInt = 3
    size: PositiveInt = 256
    iterations: PositiveInt = 25
    sample: PositiveInt = 131_072
    """Maximum number of vectors to cluster; all are assigned codes."""


@dataclass(frozen=True, eq=False)
class ResidualKMeans:
    """Codebooks ``C_1 .. C_L``, with ``r_0 = x`` and ``r_l = r_(l-1) - C_l[c_l]``.

    ``c_l`` is the nearest centroid of ``r_(l-1)``, and ``x`` is about the sum of its centroids
    (residual or multi-stage vector quantisation; as semantic IDs: Ju et al. 2025, GRID, who find
    it at least as good as RQ-VAE). It equals RQ-VAE without encoder and decoder.
    """

    codebooks: tuple[Float[np.ndarray, "_ dim"], ...]

    @classmethod
    def fit(
        cls,
        config: ResidualKMeansConfig,
        vectors: Float[np.ndarray, "items dim"],
        *,
        rng: np.random.Generator,
    ) -> "ResidualKMeans":
        """Cluster a sample of the vectors level by level."""
        residuals = vectors[sample_rows(len(vectors), config.sample, rng)].astype(np.float32)
        codebooks = []
        for _ in range(config.levels):
            found = k_means(residuals, config.size, iterations=config.iterations, rng=rng)
            codebooks.append(found.centroids)
            residuals -= found.centroids[nearest(residuals, found.centroids)]
        return cls(tuple(codebooks))

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.codebooks[0].shape[1])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each level; fewer than requested if there are few vectors."""
        return tuple(len(codebook) for codebook in self.codebooks)

    def encode(self, vectors: Float[np.ndarray, "items dim"]) -> Int[np.ndarray, "items levels"]:
        """Return the nearest code of each level in turn, greedily."""
        codes = np.empty((len(vectors), len(self.codebooks)), dtype=np.int32)
        for start in range(0, len(vectors), BLOCK):
            # A block goes through all levels at once, so that only its residuals need memory.
            residuals = vectors[start : start + BLOCK].astype(np.float32)
            for level, codebook in enumerate(self.codebooks):
                chosen = nearest(residuals, codebook)
                residuals -= codebook[chosen]
                codes[start : start + BLOCK, level] = chosen
        return codes

    def decode(self, codes: Int[np.ndarray, "items levels"]) -> Float[np.ndarray, "items dim"]:
        """Return the sum of the centroids; ``codes`` may have only the leading levels."""
        found = np.zeros((len(codes), self.dim), dtype=np.float32)
        for level in range(codes.shape[1]):
            found += self.codebooks[level][codes[:, level]]
        return found

    def last_costs(
        self, vectors: Float[np.ndarray, "items dim"], codes: Int[np.ndarray, "items levels"]
    ) -> Float[np.ndarray, "items size"]:
        """Return the squared distance to each code of the last level, given the levels before."""
        return squared_distances(vectors - self.decode(codes[:, :-1]), self.codebooks[-1])

    def save(self, folder: Path) -> None:
        """Write the codebooks."""
        save_arrays(folder, numbered(self.codebooks))

    @classmethod
    def load(cls, folder: Path) -> "ResidualKMeans":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: when the folder holds no codebooks.
        """
        return cls(codebooks_of(folder, load_arrays(folder)))
