"""Recursive spectral clustering of the co-occurrence graph of items."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from palate.items.codes.kmeans import k_means, squared_distances
from palate.types import History

_DENSE = 400
"""Up to this many items, all eigenvectors are computed: faster, and it always converges."""


def cooccurrence(sequences: Sequence[History], num_items: int, newest: int) -> sparse.csr_matrix:
    """Count the users who chose both of two items, among the ``newest`` events of each.

    Args:
        sequences: training events only; others would leak the answers.
        num_items: size of the catalogue.
        newest: events used per user; without a limit a very long history connects everything.
    """
    recent = [np.unique(history.last(newest).item_rows) for history in sequences]
    items = np.concatenate([*recent, np.zeros(0, np.int64)])
    users = np.repeat(np.arange(len(recent)), [len(rows) for rows in recent])
    bags = sparse.csr_matrix(
        (np.ones(len(items), np.float32), (users, items)), shape=(len(recent), num_items)
    )
    graph = sparse.csr_matrix(bags.T @ bags)
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph


def spectral_clusters(
    graph: sparse.csr_matrix, num_clusters: int, *, rng: np.random.Generator
) -> Int[np.ndarray, " items"]:
    """Cut a graph into densely connected clusters (Ng, Jordan and Weiss 2001).

    It runs k-means on the rows, scaled to length 1, of the eigenvectors of ``D^-1/2 A D^-1/2`` with
    the largest eigenvalues. Items without edges are distributed evenly.
    """
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    tied = np.flatnonzero(degrees > 0)
    labels = rng.permutation(graph.shape[0]) % num_clusters
    if len(tied) <= num_clusters:
        labels[tied] = np.arange(len(tied)) % num_clusters
        return labels
    scale = sparse.diags(1 / np.sqrt(degrees[tied]))
    directions = _leading(scale @ graph[tied][:, tied] @ scale, num_clusters, rng)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    rows = np.ascontiguousarray(directions / np.maximum(lengths, 1e-9), dtype=np.float32)
    runs = [_clustered(rows, num_clusters, rng) for _ in range(3)]
    labels[tied] = min(runs, key=lambda run: run[1])[0]
    return labels


def cluster_paths(
    graph: sparse.csr_matrix,
    *,
    num_clusters: int,
    leaf: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, "items levels"]:
    """Split clusters of more than ``leaf`` items recursively.

    Returns:
        The path of each item: its cluster at each depth, counted from 1; 0 after the path's end.
    """
    paths: list[list[int]] = [[] for _ in range(graph.shape[0])]
    waiting = [np.arange(graph.shape[0])]
    while waiting:
        rows = waiting.pop(0)
        if len(rows) <= leaf:
            continue
        parts = min(num_clusters, len(rows))
        labels = spectral_clusters(graph[rows][:, rows], parts, rng=rng)
        if len(np.unique(labels)) < 2:
            labels = np.arange(len(rows)) * parts // len(rows)
        for label in np.unique(labels):
            members = rows[labels == label]
            for row in members:
                paths[row].append(int(label) + 1)
            waiting.append(members)
    depth = max((len(path) for path in paths), default=0)
    padded = [path + [0] * (depth - len(path)) for path in paths]
    return np.asarray(padded, dtype=np.int32).reshape(len(paths), depth)


def _clustered(
    rows: Float[np.ndarray, "items dim"], num_clusters: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " items"], float]:
    """Return the cluster of each row, and the mean squared distance to the centroids."""
    found = k_means(rows, num_clusters, iterations=50, rng=rng)
    distances = squared_distances(rows, found.centroids)
    return distances.argmin(axis=1), float(distances.min(axis=1).mean())


def _leading(
    affinity: sparse.csr_matrix, count: int, rng: np.random.Generator
) -> Float[np.ndarray, "items count"]:
    size = affinity.shape[0]
    if size <= _DENSE or count >= size - 1:
        return np.asarray(np.linalg.eigh(affinity.toarray().astype(np.float64))[1][:, -count:])
    # Draw the start from our own generator: ARPACK would use another source of randomness.
    start = rng.standard_normal(size)
    wide = affinity.astype(np.float64)
    found = sparse.linalg.eigsh(wide, k=count, which="LA", v0=start, tol=1e-4)
    return np.asarray(found[1])
