"""K-means separates clusters, never raises its objective, and is reproducible."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from palate.items.codes.kmeans import k_means, lloyd, nearest, sample_rows, squared_distances
from palate.items.vectors import ItemVectors

Clouds = Callable[..., tuple[ItemVectors, np.ndarray]]


def test_clouds_far_apart_are_found(clouds: Clouds, rng: np.random.Generator) -> None:
    vectors, cloud = clouds(num_clouds=5)
    found = k_means(vectors.values, 5, iterations=20, rng=rng)
    labels = nearest(vectors.values, found.centroids)
    assert len({(int(a), int(b)) for a, b in zip(labels, cloud, strict=True)}) == 5
    assert found.objective[-1] < 0.05


def test_the_objective_never_rises(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((600, 8)).astype(np.float32)
    objective = k_means(vectors, 32, iterations=30, rng=rng).objective
    assert len(objective) > 3
    assert all(b <= a + 1e-5 for a, b in pairwise(objective))


def test_a_centroid_without_vectors_is_moved_to_the_worst_off(rng: np.random.Generator) -> None:
    vectors = np.array([[0.0], [0.1], [5.0], [9.0]], dtype=np.float32)
    far = np.array([[0.0], [4.0], [100.0]], dtype=np.float32)
    found = lloyd(vectors, far, iterations=10)
    np.testing.assert_allclose(np.sort(found.centroids[:, 0]), [0.05, 5.0, 9.0], atol=1e-6)


def test_fewer_distinct_vectors_than_centroids_give_fewer(rng: np.random.Generator) -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    assert len(k_means(vectors, 8, iterations=5, rng=rng).centroids) == 3


def test_the_same_generator_gives_the_same_bits() -> None:
    vectors = np.random.default_rng(3).standard_normal((500, 8)).astype(np.float32)
    first, second = (
        k_means(vectors, 20, iterations=10, rng=np.random.default_rng(5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.centroids, second.centroids)


def test_distances_are_those_of_the_definition(rng: np.random.Generator) -> None:
    vectors, centroids = rng.standard_normal((7, 3)), rng.standard_normal((4, 3))
    expected = ((vectors[:, None] - centroids[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(vectors, centroids), expected)
    np.testing.assert_array_equal(nearest(vectors, centroids), expected.argmin(axis=1))


@pytest.mark.parametrize(("total", "most", "expected"), [(3, 5, 3), (5, 3, 3), (4, 4, 4)])
def test_a_sample_has_distinct_rows(
    total: int, most: int, expected: int, rng: np.random.Generator
) -> None:
    rows = sample_rows(total, most, rng)
    assert len(np.unique(rows)) == expected
    assert rows.max() < total
