"""Figures of code health on codes whose health is known."""

from collections.abc import Callable

import numpy as np
import pytest

from palate.items.codes.codes import Level
from palate.items.codes.health import HealthEvidence, code_health, lost_variance, near_pairs
from palate.items.vectors import ItemVectors

Clouds = Callable[..., tuple[ItemVectors, np.ndarray]]


def _levels(*sizes: int) -> tuple[Level, ...]:
    return tuple(Level("code", size) for size in sizes)


def test_even_codes_have_full_entropy_and_one_code_none(rng: np.random.Generator) -> None:
    values = np.array([[0, 0], [1, 0], [2, 0], [3, 0]], dtype=np.int32)
    health = code_health(values, _levels(4, 8), HealthEvidence(), drawn=values, rng=rng)
    even, single = health.levels
    assert (even.used, even.entropy, even.evenness) == (4, 2.0, 1.0)
    assert (single.used, single.entropy, single.evenness) == (1, 0.0, 0.0)
    assert (health.colliding, health.largest_collision) == (0, 1)
    assert health.reconstruction_error is None


def test_collisions_are_counted_before_they_are_resolved(rng: np.random.Generator) -> None:
    values = np.array([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0]], dtype=np.int32)
    health = code_health(values, _levels(3, 3), HealthEvidence(), drawn=values[:, :1], rng=rng)
    assert (health.colliding, health.largest_collision) == (5, 3)


def test_purity_is_the_share_of_the_commonest_category(rng: np.random.Generator) -> None:
    values = np.array([[0], [0], [0], [1], [1]], dtype=np.int32)
    evidence = HealthEvidence(categories=["a", "a", "b", "b", None])
    (prefix,) = code_health(values, _levels(2), evidence, drawn=values, rng=rng).prefixes
    assert prefix.purity == pytest.approx(3 / 4)
    assert (prefix.prefixes, prefix.largest) == (2, 3)
    assert prefix.purity_by_chance is not None
    assert 0.5 <= prefix.purity_by_chance <= 1


def test_neighbours_that_share_a_prefix(clouds: Clouds, rng: np.random.Generator) -> None:
    vectors, cloud = clouds(num_clouds=4, per_cloud=20)
    good = np.stack([cloud, np.arange(80) % 20], axis=1).astype(np.int32)
    evidence = HealthEvidence(vectors)
    telling = code_health(good, _levels(4, 20), evidence, drawn=good, rng=rng).prefixes[0]
    assert telling.neighbours == 1.0
    assert telling.neighbours_by_chance == pytest.approx(19 / 79)
    random = np.stack([rng.integers(0, 4, 80), np.arange(80) % 20], axis=1).astype(np.int32)
    worse = code_health(random, _levels(4, 20), evidence, drawn=random, rng=rng).prefixes[0]
    assert worse.neighbours == pytest.approx(worse.neighbours_by_chance, abs=0.1)


def test_an_item_is_not_its_own_neighbour_and_absent_items_have_none(
    rng: np.random.Generator,
) -> None:
    values = rng.standard_normal((30, 4)).astype(np.float32)
    present = np.arange(30) % 3 > 0
    pairs = near_pairs(ItemVectors(values, present), rng=rng)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert present[pairs].all()


def test_lost_variance_is_none_of_it_or_all_of_it(rng: np.random.Generator) -> None:
    values = rng.standard_normal((30, 4)).astype(np.float32)
    vectors = ItemVectors(values, np.ones(30, dtype=bool))
    assert lost_variance(vectors, values) == 0
    mean = np.repeat(values.mean(axis=0, keepdims=True), 30, axis=0)
    assert lost_variance(vectors, mean) == pytest.approx(1)
