"""After resolution all codes are unique, and codes without a collision are unchanged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import DataError
from palate.items.codes.codes import Level
from palate.items.codes.collisions import (
    AsDrawn,
    BalancedLastLevel,
    Drawn,
    ExtraDigit,
    OwnToken,
    even_assignment,
    places_within,
    sinkhorn,
)
from palate.items.codes.residual_kmeans import ResidualKMeans, ResidualKMeansConfig


def _drawn(rows: list[list[int]], size: int = 4) -> Drawn:
    values = np.asarray(rows, dtype=np.int32)
    return Drawn(values, (Level("code", size),) * values.shape[1])


def _quantised(vectors: np.ndarray, levels: int, size: int) -> Drawn:
    config = ResidualKMeansConfig(levels=levels, size=size, iterations=10)
    quantiser = ResidualKMeans.fit(config, vectors, rng=np.random.default_rng(2))
    named = tuple(Level("code", size) for size in quantiser.sizes)
    return Drawn(quantiser.encode(vectors), named, quantiser, vectors)


def test_the_extra_digit_counts_the_items_of_equal_codes() -> None:
    codes = ExtraDigit(least=2).resolve(_drawn([[1, 2], [0, 0], [1, 2], [1, 2]]))
    assert codes.values.tolist() == [[1, 2, 0], [0, 0, 0], [1, 2, 1], [1, 2, 2]]
    assert codes.levels[-1] == Level("digit", 6)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=40))
def test_codes_are_unique_after_an_extra_digit(rows: list[tuple[int, int]]) -> None:
    codes = ExtraDigit().resolve(_drawn([list(row) for row in rows]))
    assert len(np.unique(codes.values, axis=0)) == len(rows)
    np.testing.assert_array_equal(codes.values[:, :2], rows)


def test_an_own_token_is_the_row_of_the_item() -> None:
    codes = OwnToken().resolve(_drawn([[1], [1], [0]]))
    assert codes.values[:, -1].tolist() == [0, 1, 2]
    assert codes.levels[-1] == Level("item", 3)


def test_codes_taken_as_they_are_must_be_unique() -> None:
    assert len(AsDrawn().resolve(_drawn([[1], [2]]))) == 2
    with pytest.raises(DataError):
        AsDrawn().resolve(_drawn([[1], [1]]))


def test_the_plan_is_balanced(rng: np.random.Generator) -> None:
    plan = sinkhorn(rng.random((30, 6)), temperature=0.5, iterations=300)
    np.testing.assert_allclose(plan.sum(axis=1), 1)
    np.testing.assert_allclose(plan.sum(axis=0), 5, rtol=1e-3)


def test_the_plan_prefers_what_is_near(rng: np.random.Generator) -> None:
    costs = 1 - np.eye(5)
    plan = sinkhorn(costs)
    np.testing.assert_allclose(plan, np.eye(5), atol=1e-3)


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 99))
def test_no_code_gets_more_than_its_share(items: int, codes: int, seed: int) -> None:
    costs = np.random.default_rng(seed).random((items, codes))
    chosen = even_assignment(costs)
    assert np.bincount(chosen, minlength=codes).max() <= -(-items // codes)


def test_equal_items_share_out_the_codes() -> None:
    counts = np.bincount(even_assignment(np.zeros((12, 4))), minlength=4)
    assert counts.tolist() == [3, 3, 3, 3]


def test_a_large_group_is_shared_out_in_parts() -> None:
    counts = np.bincount(even_assignment(np.zeros((3000, 8))), minlength=8)
    assert counts.max() <= 376


def test_a_balanced_last_level_separates_items_without_a_digit(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((60, 4)).astype(np.float32)
    drawn = _quantised(np.repeat(vectors, 3, axis=0), levels=2, size=64)
    codes = BalancedLastLevel().resolve(drawn)
    assert codes.num_levels == 2
    np.testing.assert_array_equal(codes.values[:, 0], drawn.values[:, 0])


def test_items_that_do_not_collide_keep_their_nearest_codes(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((40, 4)).astype(np.float32)
    drawn = _quantised(vectors, levels=3, size=16)
    unique = len(np.unique(drawn.values, axis=0)) == len(vectors)
    assert unique, "the example is meant to hold no collision"
    np.testing.assert_array_equal(BalancedLastLevel().resolve(drawn).values, drawn.values)


def test_a_prefix_with_too_many_items_gets_a_digit_after_all() -> None:
    vectors = np.ones((20, 3), dtype=np.float32)
    vectors[:2] = [[2, 0, 0], [0, 2, 0]]
    codes = BalancedLastLevel().resolve(_quantised(vectors, levels=2, size=3))
    assert codes.num_levels == 3
    assert codes.levels[-1].meaning == "digit"


def test_places_count_within_each_group() -> None:
    assert places_within(np.array([5, 2, 5, 5, 2])).tolist() == [0, 0, 1, 2, 1]
