"""Items chosen by the same users share a cluster; the tree ends where clusters are small."""

import numpy as np
from scipy import sparse

from palate.items.codes.spectral import cluster_paths, cooccurrence, spectral_clusters
from palate.types import History


def _cliques(*sizes: int) -> sparse.csr_matrix:
    """Items of a clique are tied to one another, and its last item weakly to the next clique."""
    total = sum(sizes)
    graph = np.zeros((total, total), dtype=np.float32)
    start = 0
    for size in sizes:
        graph[start : start + size, start : start + size] = 5
        start += size
        if start < total:
            graph[start - 1, start] = graph[start, start - 1] = 0.1
    np.fill_diagonal(graph, 0)
    return sparse.csr_matrix(graph)


def test_two_cliques_are_separated(rng: np.random.Generator) -> None:
    labels = spectral_clusters(_cliques(6, 9), 2, rng=rng)
    assert len(set(labels[:6])) == len(set(labels[6:])) == 1
    assert labels[0] != labels[-1]


def test_the_sparse_computation_for_many_items_gives_the_same_result(
    rng: np.random.Generator,
) -> None:
    labels = spectral_clusters(_cliques(250, 260), 2, rng=rng)
    assert len(set(labels[:250])) == len(set(labels[250:])) == 1
    assert labels[0] != labels[-1]


def test_items_without_edges_are_distributed_evenly(rng: np.random.Generator) -> None:
    labels = spectral_clusters(sparse.csr_matrix((10, 10), dtype=np.float32), 2, rng=rng)
    assert np.bincount(labels).tolist() == [5, 5]


def test_users_are_counted_once_for_a_pair() -> None:
    histories = [History(np.array(rows)) for rows in ([0, 1, 0], [1, 0], [2], [3, 0, 1])]
    graph = cooccurrence(histories, 4, newest=2).toarray()
    assert graph[0, 1] == graph[1, 0] == 3
    assert graph[3].sum() == graph[2].sum() == 0


def test_clusters_are_cut_until_they_are_small(rng: np.random.Generator) -> None:
    graph = _cliques(8, 8, 8, 8)
    paths = cluster_paths(graph, num_clusters=2, leaf=8, rng=rng)
    _, counts = np.unique(paths, axis=0, return_counts=True)
    assert counts.max() <= 8
    whole = [len(np.unique(paths[start : start + 8], axis=0)) for start in range(0, 32, 8)]
    assert whole == [1, 1, 1, 1]


def test_a_graph_that_cannot_be_cut_is_cut_all_the_same(rng: np.random.Generator) -> None:
    paths = cluster_paths(_cliques(30), num_clusters=3, leaf=4, rng=rng)
    _, counts = np.unique(paths, axis=0, return_counts=True)
    assert counts.max() <= 4


def test_a_small_catalogue_has_no_clusters(rng: np.random.Generator) -> None:
    assert cluster_paths(_cliques(5), num_clusters=2, leaf=8, rng=rng).shape == (5, 0)


def test_the_same_generator_gives_the_same_paths() -> None:
    graph = _cliques(20, 15, 12)
    first, second = (
        cluster_paths(graph, num_clusters=3, leaf=5, rng=np.random.default_rng(4)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
