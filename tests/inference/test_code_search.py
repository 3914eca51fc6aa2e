"""Hybrid lists: scores add up for items in both lists; others get the lowest code score."""

import numpy as np

from palate.inference.code_search import blended
from palate.types import Ranking

SCORES = np.asarray([3.0, 2.0, 1.0, 0.5, -1.0], dtype=np.float32)


def _list(rows: list[int], scores: list[float]) -> Ranking:
    return Ranking(np.asarray(rows, dtype=np.int64), np.asarray(scores, dtype=np.float32))


def test_both_scores_are_added() -> None:
    found = blended(SCORES, _list([0, 1], [3.0, 2.0]), _list([3, 1], [-1.0, -4.0]), 1.0, 5)
    # Item 0 has no code score: it gets the lowest of the others, -4.
    assert found.item_rows.tolist() == [3, 0, 1]
    np.testing.assert_allclose(found.scores, [-0.5, -1.0, -2.0])


def test_without_weight_the_set_reranks_what_either_found() -> None:
    found = blended(SCORES, _list([0, 1], [3.0, 2.0]), _list([4, 2], [-0.1, -0.2]), 0.0, 3)
    assert found.item_rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.scores, [3.0, 2.0, 1.0])


def test_without_codes_found_the_retrieved_list_stays() -> None:
    found = blended(SCORES, _list([1, 0], [2.0, 3.0]), _list([], []), 2.0, 5)
    assert found.item_rows.tolist() == [0, 1]
