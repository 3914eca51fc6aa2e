"""Product quantisation: the rotation is orthogonal, helps on mixed axes, and can be undone."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from palate.items.codes.product import (
    ProductConfig,
    ProductQuantiser,
    balanced_axes,
    procrustes,
)

SMALL = ProductConfig(levels=2, size=8, rounds=8)


def _turned(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0].astype(np.float32)


def _grid(rng: np.random.Generator) -> np.ndarray:
    """All pairs of 8 points of one plane with 8 of another, with little noise."""
    points = 3 * rng.standard_normal((2, 8, 2))
    first, second = rng.integers(0, 8, (2, 400))
    grid = np.concatenate([points[0][first], points[1][second]], axis=1)
    return (grid + 0.01 * rng.standard_normal(grid.shape)).astype(np.float32)


def test_the_rotation_is_orthogonal(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((300, 10)).astype(np.float32)
    rotation = ProductQuantiser.fit(SMALL, vectors, rng=rng).rotation
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(10), atol=1e-5)


def test_procrustes_finds_the_rotation_that_was_applied(rng: np.random.Generator) -> None:
    vectors, turn = rng.standard_normal((50, 4)).astype(np.float32), _turned(rng, 4)
    np.testing.assert_allclose(procrustes(vectors, vectors @ turn), turn, atol=1e-5)


def test_the_axes_are_dealt_out_evenly(rng: np.random.Generator) -> None:
    scales = np.array([8.0, 4.0, 2.0, 1.0])
    vectors = (rng.standard_normal((5000, 4)) * scales).astype(np.float32)
    variances = (vectors @ balanced_axes(vectors, 2)).var(axis=0)
    products = variances.reshape(2, 2).prod(axis=1)
    assert 0.5 < products[0] / products[1] < 2


def test_no_alternation_raises_the_error(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((500, 6)).astype(np.float32) @ _turned(rng, 6)
    objective = ProductQuantiser.fit(SMALL, vectors, rng=rng).objective
    assert len(objective) == SMALL.rounds
    assert all(b <= a + 1e-4 for a, b in pairwise(objective))


def test_two_planes_are_coded_nearly_without_loss(rng: np.random.Generator) -> None:
    vectors = _grid(rng)
    found = ProductQuantiser.fit(ProductConfig(levels=2, size=32), vectors, rng=rng)
    error = np.square(vectors - found.decode(found.encode(vectors))).sum()
    assert error < 0.05 * np.square(vectors - vectors.mean(axis=0)).sum()


def test_a_width_that_the_parts_do_not_divide_is_filled_up(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((100, 7)).astype(np.float32)
    found = ProductQuantiser.fit(ProductConfig(levels=3, size=8), vectors, rng=rng)
    assert found.rotation.shape == (9, 9)
    assert found.decode(found.encode(vectors)).shape == (100, 7)


def test_a_batch_is_coded_as_its_items_one_by_one(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((50, 8)).astype(np.float32)
    found = ProductQuantiser.fit(SMALL, vectors, rng=rng)
    single = [found.encode(vectors[i : i + 1])[0] for i in range(len(vectors))]
    codes = found.encode(vectors)
    np.testing.assert_array_equal(codes, np.stack(single))
    np.testing.assert_array_equal(found.last_costs(vectors, codes).argmin(axis=1), codes[:, -1])


def test_saved_and_loaded_it_codes_alike(tmp_path: Path, rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((100, 7)).astype(np.float32)
    found = ProductQuantiser.fit(SMALL, vectors, rng=rng)
    found.save(tmp_path)
    loaded = ProductQuantiser.load(tmp_path)
    assert loaded.dim == 7
    np.testing.assert_array_equal(loaded.encode(vectors), found.encode(vectors))
