"""K-means by blocks of matrix products: Lloyd's method on a sample, then one pass over all.

Shapes: N vectors, D width, K centroids.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

BLOCK = 8_192
"""Vectors assigned at once; with 256 centroids that is 8 MB of scores, which stay in the cache."""
_SEEDING_PER_CENTROID = 40


@dataclass(frozen=True, eq=False)
class KMeans:
    """Centroids, and the objective during the fit."""

    centroids: Float[np.ndarray, "centroids dim"]
    objective: tuple[float, ...]
    """Mean squared distance to the nearest centroid before each step; it never rises."""


def k_means(
    vectors: Float[np.ndarray, "items dim"],
    num_centroids: int,
    *,
    iterations: int,
    rng: np.random.Generator,
) -> KMeans:
    """Find centroids: k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's steps.

    If there are fewer distinct vectors than requested centroids, the result has fewer.
    """
    # Seeding takes one pass over the vectors per centroid, so that it sees only a sample.
    few = sample_rows(len(vectors), _SEEDING_PER_CENTROID * num_centroids, rng)
    start = _spread_out(vectors[few], num_centroids, rng)
    return lloyd(vectors, start, iterations=iterations)


def lloyd(
    vectors: Float[np.ndarray, "items dim"],
    centroids: Float[np.ndarray, "centroids dim"],
    *,
    iterations: int,
) -> KMeans:
    """Move centroids to the means of their vectors until nothing changes.

    A centroid without vectors moves to the vector with the largest distance, so that every centroid
    is used.
    """
    lengths = np.einsum("nd,nd->n", vectors, vectors)
    objective: list[float] = []
    before = np.full(len(vectors), -1)
    for _ in range(iterations):
        chosen, closeness = _assigned(vectors, centroids)
        # |x - c|^2 = |x|^2 - 2 (x c - |c|^2 / 2); rounding may leave a little less than zero.
        distances = np.maximum(lengths - 2 * closeness, 0)
        objective.append(float(distances.mean(dtype=np.float64)))
        if np.array_equal(chosen, before):
            break
        before = chosen
        centroids = _means(vectors, chosen, centroids, distances)
    return KMeans(centroids, tuple(objective))


def nearest(
    vectors: Float[np.ndarray, "items dim"], centroids: Float[np.ndarray, "centroids dim"]
) -> Int[np.ndarray, " items"]:
    """Return the number of the nearest centroid of each vector; of equally near ones the lower."""
    return _assigned(vectors, centroids)[0]


def squared_distances(
    vectors: Float[np.ndarray, "items dim"], centroids: Float[np.ndarray, "centroids dim"]
) -> Float[np.ndarray, "items centroids"]:
    """Return ``|x|^2 - 2 x c + |c|^2``, never below zero."""
    closeness = vectors @ centroids.T
    lengths = np.einsum("nd,nd->n", vectors, vectors)[:, None]
    distances = lengths - 2 * closeness + np.einsum("kd,kd->k", centroids, centroids)
    return np.asarray(np.maximum(distances, 0))


def sample_rows(total: int, most: int, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
    """Return at most ``most`` rows drawn without replacement, in increasing order."""
    if total <= most:
        return np.arange(total)
    return np.sort(rng.choice(total, most, replace=False, shuffle=False))


def _assigned(
    vectors: Float[np.ndarray, "items dim"], centroids: Float[np.ndarray, "centroids dim"]
) -> tuple[Int[np.ndarray, " items"], Float[np.ndarray, " items"]]:
    """Return the nearest centroid of each vector, which maximises ``x c - |c|^2 / 2``, and that.

    Leaving out ``|x|^2``, which is the same for all centroids, saves a third of the passes over
    memory.
    """
    half = np.einsum("kd,kd->k", centroids, centroids) / 2
    transposed = np.ascontiguousarray(centroids.T)
    chosen = np.empty(len(vectors), dtype=np.int64)
    closeness = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        scores = vectors[start : start + BLOCK] @ transposed
        scores -= half
        best = scores.argmax(axis=1)
        chosen[start : start + BLOCK] = best
        closeness[start : start + BLOCK] = scores[np.arange(len(best)), best]
    return chosen, closeness


def _means(
    vectors: Float[np.ndarray, "items dim"],
    chosen: Int[np.ndarray, " items"],
    centroids: Float[np.ndarray, "centroids dim"],
    distances: Float[np.ndarray, " items"],
) -> Float[np.ndarray, "centroids dim"]:
    counts = np.bincount(chosen, minlength=len(centroids))
    # A product with a sparse indicator sums each cluster without copying the vectors.
    indicator = sparse.csr_matrix(
        (np.ones(len(chosen), vectors.dtype), chosen, np.arange(len(chosen) + 1)),
        shape=(len(chosen), len(centroids)),
    )
    sums = np.asarray(indicator.T @ vectors)
    means = (sums / np.maximum(counts, 1)[:, None]).astype(vectors.dtype)
    # An empty cluster would waste a code. A vector far from its centroid gains most from one of its
    # own, and moving there cannot raise the objective.
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        worst = np.argsort(-distances, kind="stable")[: len(empty)]
        means[empty[: len(worst)]] = vectors[worst]
    return means


def _spread_out(
    vectors: Float[np.ndarray, "items dim"], num_centroids: int, rng: np.random.Generator
) -> Float[np.ndarray, "centroids dim"]:
    """Draw each centroid with probability proportional to its squared distance to earlier ones."""
    rows = [int(rng.integers(len(vectors)))]
    distances = np.full(len(vectors), np.inf)
    while len(rows) < num_centroids:
        # Not by |x|^2 - 2 x c + |c|^2: equal vectors must be exactly 0 apart.
        away = vectors - vectors[rows[-1]]
        distances = np.minimum(distances, np.einsum("nd,nd->n", away, away))
        total = distances.sum()
        # Every vector is a centroid already: there are no more distinct ones.
        if total <= 0:
            break
        # A draw by the inverse of the cumulative sum; rounding may pass the last vector.
        place = np.searchsorted(np.cumsum(distances), rng.random() * total, side="right")
        rows.append(min(int(place), len(vectors) - 1))
    return vectors[rows].copy()
