"""Masking and top-n, compared with answers by hand and a plain sort."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from palate.ranking import largest_products, mask_scores, top_rankings, top_rows
from palate.types import History

SCORES = np.array([[0.1, 0.9, 0.5, 0.7], [3.0, 2.0, 1.0, 0.0]])


def test_best_first() -> None:
    rows, scores = top_rows(SCORES, 2)
    assert rows.tolist() == [[1, 3], [0, 1]]
    assert scores.tolist() == [[0.9, 0.7], [3.0, 2.0]]


def test_equal_scores_are_ordered_by_row() -> None:
    rows, _ = top_rows(np.array([[1.0, 2.0, 1.0, 1.0, 2.0]]), 4)
    assert rows.tolist() == [[1, 4, 0, 2]]


def test_a_list_is_as_long_as_there_are_items() -> None:
    forbidden = np.array([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, -np.inf]])
    first, second = top_rankings(forbidden, 10)
    assert first.item_rows.tolist() == [2, 0]
    assert first.scores.tolist() == [2.0, 1.0]
    assert len(second) == 0


def test_rankings_of_no_users_and_no_items() -> None:
    assert top_rankings(np.empty((0, 4)), 3) == []
    assert [len(ranking) for ranking in top_rankings(SCORES, 0)] == [0, 0]


def test_mask_hides_what_was_seen_and_keeps_the_rest() -> None:
    histories = [History(item_rows=np.array([1, 1])), History(item_rows=np.array([], dtype=int))]
    masked = mask_scores(SCORES, histories)
    assert masked[0].tolist() == [0.1, -np.inf, 0.5, 0.7]
    assert masked[1].tolist() == SCORES[1].tolist()
    assert SCORES[0, 1] == 0.9, "the scores given are not changed"


def test_mask_can_leave_seen_items_in() -> None:
    histories = [History(item_rows=np.array([1]))] * 2
    assert np.array_equal(mask_scores(SCORES, histories, exclude_seen=False), SCORES)


def test_mask_keeps_to_the_candidates() -> None:
    histories = [History(item_rows=np.array([0]))] * 2
    masked = mask_scores(SCORES, histories, candidates=np.array([0, 2]))
    assert np.isfinite(masked).tolist() == [[False, False, True, False]] * 2


# Few distinct values, so that ties at every place of the list are common; -inf is "never".
tied_scores = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]),
)


@given(tied_scores, st.integers(0, 15))
def test_equals_a_plain_sort(scores: np.ndarray, n: int) -> None:
    for user, ranking in zip(scores, top_rankings(scores, n), strict=True):
        order = sorted(range(len(user)), key=lambda row: (-user[row], row))
        wanted = [row for row in order if user[row] > -np.inf][:n]
        assert ranking.item_rows.tolist() == wanted
        assert ranking.scores.tolist() == user[wanted].tolist()


@given(tied_scores, st.integers(1, 15))
def test_a_shorter_list_is_the_head_of_a_longer_one(scores: np.ndarray, n: int) -> None:
    for short, long in zip(top_rankings(scores, n), top_rankings(scores, n + 1), strict=True):
        assert short.item_rows.tolist() == long.item_rows[:n].tolist()


def test_the_score_of_an_item_is_that_of_its_nearest_user_vector() -> None:
    users = np.array([[[1.0, 0.0], [0.0, 2.0]]], dtype=np.float32)
    items = np.array([[3.0, 1.0], [0.0, 1.0], [-1.0, -1.0]], dtype=np.float32)
    assert largest_products(users, items.T).tolist() == [[3.0, 2.0, -1.0]]


def test_products_of_many_users_are_those_of_each(rng: np.random.Generator) -> None:
    # Small whole numbers: products are exact, and many of them are equal.
    users = rng.integers(-2, 3, (23, 3, 4)).astype(np.float32)
    items = rng.integers(-2, 3, (40, 4)).astype(np.float32)
    expected = np.einsum("umd,id->uim", users, items).max(-1)
    np.testing.assert_array_equal(largest_products(users, items.T), expected)
    assert largest_products(users[:0], items.T).shape == (0, 40)
