"""The fast selection equals the plain one; diverse lists follow their formula."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from palate.inference.ranking import best_rows, diversified
from palate.ranking import top_rows


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 45),
    st.integers(1, 6),
)
def test_it_selects_what_top_rows_selects(
    seed: int, users: int, items: int, n: int, levels: int
) -> None:
    """Few levels make many ties, and some scores say that an item may not be shown."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (users, items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    rows, values = best_rows(scores, n)
    expected_rows, expected_values = top_rows(scores, n)
    assert_array_equal(values, expected_values)
    assert_array_equal(np.where(values > -np.inf, rows, -1), expected_rows)


def test_without_diversity_the_best_come_first(rng: np.random.Generator) -> None:
    scores = rng.random(20).astype(np.float32)
    vectors = rng.standard_normal((20, 4)).astype(np.float32)
    chosen = diversified(scores, vectors, 5, 0.0)
    assert_array_equal(chosen, np.argsort(-scores)[:5])


def test_a_duplicate_of_the_first_item_comes_after_a_different_item() -> None:
    """Relevance 1, 0.9, 0 and cosines 1 and 0 to the first: 0.45 - 0.5 < 0 - 0 at d = 0.5."""
    scores = np.asarray([10.0, 9.0, 0.0], dtype=np.float32)
    vectors = np.asarray([[1, 0], [2, 0], [0, 1]], dtype=np.float32)
    assert diversified(scores, vectors, 3, 0.5).tolist() == [0, 2, 1]
    assert diversified(scores, vectors, 3, 0.4).tolist() == [0, 1, 2]


def test_equal_scores_and_short_pools_are_no_trouble() -> None:
    scores = np.zeros(3, dtype=np.float32)
    vectors = np.zeros((3, 2), dtype=np.float32)
    assert sorted(diversified(scores, vectors, 9, 1.0).tolist()) == [0, 1, 2]
