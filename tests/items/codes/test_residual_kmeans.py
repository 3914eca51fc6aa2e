"""Each level of residual k-means quantises the residual; clusters get codes of their own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from palate.items.codes.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from palate.items.vectors import ItemVectors

Clouds = Callable[..., tuple[ItemVectors, np.ndarray]]

SMALL = ResidualKMeansConfig(levels=3, size=8, iterations=10)


def test_separated_clusters_get_separated_codes(clouds: Clouds, rng: np.random.Generator) -> None:
    vectors, cloud = clouds(num_clouds=4)
    found = ResidualKMeans.fit(
        ResidualKMeansConfig(levels=2, size=4, iterations=10), vectors.values, rng=rng
    )
    first = found.encode(vectors.values)[:, 0]
    assert len({(int(a), int(b)) for a, b in zip(first, cloud, strict=True)}) == 4


def test_every_level_lowers_the_error(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((400, 12)).astype(np.float32)
    found = ResidualKMeans.fit(SMALL, vectors, rng=rng)
    codes = found.encode(vectors)
    errors = [
        float(np.square(vectors - found.decode(codes[:, :length])).sum()) for length in range(4)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.5 * errors[0]


def test_a_batch_is_coded_as_its_items_one_by_one(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((60, 12)).astype(np.float32)
    found = ResidualKMeans.fit(SMALL, vectors, rng=rng)
    single = [found.encode(vectors[i : i + 1])[0] for i in range(len(vectors))]
    np.testing.assert_array_equal(found.encode(vectors), np.stack(single))


def test_the_last_code_is_the_cheapest(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((80, 12)).astype(np.float32)
    found = ResidualKMeans.fit(SMALL, vectors, rng=rng)
    codes = found.encode(vectors)
    costs = found.last_costs(vectors, codes)
    np.testing.assert_array_equal(costs.argmin(axis=1), codes[:, -1])
    np.testing.assert_allclose(
        costs.min(axis=1), np.square(vectors - found.decode(codes)).sum(axis=1), rtol=1e-3
    )


def test_the_same_generator_gives_the_same_bits() -> None:
    vectors = np.random.default_rng(3).standard_normal((300, 8)).astype(np.float32)
    first, second = (
        ResidualKMeans.fit(SMALL, vectors, rng=np.random.default_rng(5)) for _ in range(2)
    )
    for one, other in zip(first.codebooks, second.codebooks, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_tiny_catalogue_gets_smaller_levels(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((5, 4)).astype(np.float32)
    found = ResidualKMeans.fit(ResidualKMeansConfig(), vectors, rng=rng)
    assert found.sizes[0] == 5
    np.testing.assert_allclose(found.decode(found.encode(vectors)), vectors, atol=1e-5)


def test_saved_and_loaded_it_codes_alike(tmp_path: Path, rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((100, 8)).astype(np.float32)
    found = ResidualKMeans.fit(SMALL, vectors, rng=rng)
    found.save(tmp_path)
    loaded = ResidualKMeans.load(tmp_path)
    assert (loaded.dim, loaded.sizes) == (found.dim, found.sizes)
    np.testing.assert_array_equal(loaded.encode(vectors), found.encode(vectors))
