"""Vectors from ratings find known tastes; items without ratings have none."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from palate.items.rating_vectors import rating_vectors
from palate.items.vectors import ItemVectors
from palate.types import History


def _rated(rows: list[int], ratings: list[float] | None) -> History:
    given = None if ratings is None else np.asarray(ratings, dtype=np.float32)
    return History(item_rows=np.asarray(rows, dtype=np.int64), ratings=given)


def _two_tastes(num_users: int = 60) -> list[History]:
    """Half of the users like items 0-4 and dislike 5-9, the others the other way round."""
    rng, sequences = np.random.default_rng(0), []
    for user in range(num_users):
        rows = rng.permutation(10)
        liked = (rows < 5) == (user % 2 == 0)
        sequences.append(_rated(rows.tolist(), np.where(liked, 5.0, 1.0).tolist()))
    return sequences


def _found(sequences: list[History], num_items: int = 10, num_factors: int = 2) -> ItemVectors:
    return rating_vectors(sequences, num_items, num_factors, seed=1)


def test_factors_separate_two_tastes() -> None:
    factors = _found(_two_tastes()).values[:, 2:]
    unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    assert cosines[:5, :5].min() > 0.9
    assert cosines[5:, 5:].min() > 0.9
    assert cosines[:5, 5:].max() < -0.9


def test_the_bias_orders_items_by_how_they_are_liked_and_the_count_by_how_often() -> None:
    # Item 2 is rated best, item 0 worst; item 1 is rated most often.
    sequences = [_rated([0, 1, 2], [1.0, 3.0, 5.0]) for _ in range(8)]
    sequences += [_rated([1], [3.0]) for _ in range(8)]
    values = _found(sequences, num_items=3).values
    assert_array_equal(np.argsort(values[:, 0]), [0, 1, 2])
    assert int(values[:, 1].argmax()) == 1
    assert values[0, 1] == pytest.approx(values[2, 1])


def test_columns_have_a_deviation_of_one_over_what_is_there() -> None:
    values = _found(_two_tastes()[:-5], num_items=12).values[:10]
    told = values.std(axis=0) > 0
    assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    assert_allclose(values.std(axis=0)[told], 1, atol=1e-4)


def test_items_without_ratings_have_no_vector() -> None:
    sequences = [_rated([0, 1], [4.0, 2.0]), _rated([0, 3], None), _rated([2, 1], [np.nan, 5.0])]
    vectors = _found(sequences, num_items=5)
    assert vectors.present.tolist() == [True, True, False, False, False]
    assert not vectors.values[2:].any()


def test_without_a_rating_nothing_is_there() -> None:
    vectors = _found([_rated([0, 1], None)], num_items=3, num_factors=4)
    assert vectors.values.shape == (3, 6)
    assert not vectors.present.any()


def test_the_same_seed_gives_the_same_vectors() -> None:
    assert_array_equal(_found(_two_tastes()).values, _found(_two_tastes()).values)
