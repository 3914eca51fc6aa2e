"""Metrics against answers worked out by hand, and against the independent library ir-measures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.evaluation import metrics
from palate.evaluation.metrics import ACCURACY, auc, hit_matrix, pad

RANKED = np.array([[3, 1, 2, 0], [5, 4, -1, -1], [7, 8, 9, 6]])
TARGETS = np.array([[2, 9], [4, -1], [0, -1]])
HITS = hit_matrix(RANKED, TARGETS)
COUNTS = np.array([2, 1, 1])


def test_pad_fills_short_lists_with_minus_one() -> None:
    padded = pad([np.array([4, 5]), np.array([], dtype=np.int64), np.array([6])])
    assert padded.tolist() == [[4, 5], [-1, -1], [6, -1]]
    assert pad([]).shape == (0, 0)


def test_hits_belong_to_their_own_user() -> None:
    assert HITS.tolist() == [
        [False, False, True, False],
        [False, True, False, False],
        [False, False, False, False],
    ]


def test_a_short_list_never_hits_a_padded_target() -> None:
    assert not hit_matrix(np.array([[-1, -1]]), np.array([[0, -1]])).any()


def test_accuracy_by_hand() -> None:
    assert metrics.recall(HITS, COUNTS, 3).tolist() == [0.5, 1, 0]
    assert metrics.hit_rate(HITS, COUNTS, 3).tolist() == [1, 1, 0]
    assert metrics.mrr(HITS, COUNTS, 3) == pytest.approx([1 / 3, 1 / 2, 0])
    assert metrics.average_precision(HITS, COUNTS, 3) == pytest.approx([1 / 6, 1 / 2, 0])
    ideal = 1 + 1 / math.log2(3)
    assert metrics.ndcg(HITS, COUNTS, 3) == pytest.approx([0.5 / ideal, 1 / math.log2(3), 0])


def test_a_cut_off_ends_the_list() -> None:
    assert metrics.recall(HITS, COUNTS, 2).tolist() == [0, 1, 0]
    assert metrics.mrr(HITS, COUNTS, 1).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ACCURACY)
def test_a_cut_off_beyond_the_list_counts_the_whole_list(name: str) -> None:
    few, many = ACCURACY[name](HITS, COUNTS, 4), ACCURACY[name](HITS, COUNTS, 50)
    assert many == pytest.approx(few)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_the_same_as_an_independent_library(k: int, rng: np.random.Generator) -> None:
    ir = pytest.importorskip("ir_measures")
    ranked = np.stack([rng.permutation(30)[:15] for _ in range(100)])
    targets = pad([rng.choice(30, rng.integers(1, 8), replace=False) for _ in range(100)])
    hits, counts = hit_matrix(ranked, targets), (targets >= 0).sum(axis=1)
    qrels = [
        ir.Qrel(str(user), str(item), 1)
        for user, items in enumerate(targets)
        for item in items
        if item >= 0
    ]
    run = [
        ir.ScoredDoc(str(user), str(item), float(-place))
        for user, items in enumerate(ranked)
        for place, item in enumerate(items)
    ]
    theirs = {
        "recall": ir.R @ k,
        "hit": ir.Success @ k,
        "ndcg": ir.nDCG @ k,
        "mrr": ir.RR @ k,
        "map": ir.AP @ k,
    }
    assert set(theirs) == set(ACCURACY)
    for name, measure in theirs.items():
        found = {x.query_id: x.value for x in ir.iter_calc([measure], qrels, run)}
        expected = [found[str(user)] for user in range(len(ranked))]
        assert ACCURACY[name](hits, counts, k) == pytest.approx(expected), name


@given(
    hits=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5),
    extra=st.integers(0, 5),
    k=st.integers(1, 8),
)
def test_every_accuracy_is_between_0_and_1_and_grows_with_a_better_list(
    hits: list[list[bool]], extra: int, k: int
) -> None:
    matrix = np.array(hits)
    counts = np.maximum(matrix.sum(axis=1) + extra, 1)
    best = -np.sort(-matrix.astype(int), axis=1) > 0
    for name, metric in ACCURACY.items():
        values = metric(matrix, counts, k)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name
        assert (metric(best, counts, k) >= values - 1e-12).all(), name


def test_auc_by_hand() -> None:
    # Four items: first of four, last of four, and the two middle places of two targets.
    ranks = np.array([[0, -1], [3, -1], [1, 2]])
    assert auc(ranks, np.array([4, 4, 4])) == pytest.approx([1, 0, 0.5])


def test_auc_of_what_is_never_ranked_is_0() -> None:
    assert auc(np.array([[4, 4]]), np.array([4])) == pytest.approx([0])
    assert auc(np.array([[0, 4]]), np.array([4])) == pytest.approx([0.5])


def test_auc_is_the_share_of_pairs_in_order(rng: np.random.Generator) -> None:
    for _ in range(20):
        scores, wanted = rng.permutation(25), rng.choice(25, 4, replace=False)
        others = np.setdiff1d(np.arange(25), wanted)
        ranks = (scores[None, :] > scores[wanted][:, None]).sum(axis=1)[None, :]
        expected = (scores[wanted][:, None] > scores[others][None, :]).mean()
        assert auc(ranks, np.array([25])) == pytest.approx([expected])


def test_coverage_counts_each_item_once() -> None:
    assert metrics.coverage(np.array([[0, 1], [1, -1]]), 8) == 0.25


def test_gini_of_equal_and_of_single_exposure() -> None:
    assert metrics.gini(np.array([[0, 1], [2, 3]]), 4) == pytest.approx(0)
    assert metrics.gini(np.array([[2], [2]]), 4) == pytest.approx(0.75)
    assert metrics.gini(np.array([[-1]]), 4) == 0


def test_novelty_is_higher_for_what_is_rare() -> None:
    counts = np.array([5, 1, 0, 0])
    # The chances are 6, 2, 1 and 1 in 10.
    novelty = metrics.novelty(np.array([[0, 1], [2, 3], [1, -1]]), counts)
    assert novelty == pytest.approx(
        [-(math.log2(0.6) + math.log2(0.2)) / 2, math.log2(10), math.log2(5)]
    )


def test_popularity_is_the_mean_of_the_list() -> None:
    popularity = metrics.mean_popularity(np.array([[0, 1], [2, -1]]), np.array([4, 2, 1]))
    assert popularity.tolist() == [3, 1]


def test_vector_diversity_of_alike_opposite_and_square() -> None:
    vectors = np.array([[2.0, 0], [1, 0], [-3, 0], [0, 5]])
    ranked = np.array([[0, 1], [0, 2], [0, 3], [0, -1]])
    assert metrics.vector_diversity(ranked, vectors) == pytest.approx([0, 2, 1, 0])


def test_vector_diversity_is_the_mean_over_pairs(rng: np.random.Generator) -> None:
    vectors, ranked = rng.standard_normal((9, 4)), np.array([[3, 1, 8, 0, 5]])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in ranked[0] for j in ranked[0] if i < j]
    assert metrics.vector_diversity(ranked, vectors) == pytest.approx([1 - np.mean(pairs)])


def test_category_diversity_by_hand() -> None:
    codes = metrics.category_codes([["a", "b"], ["b", "a"], ["b", "c"], [], None])
    ranked = np.array([[0, 1, -1], [0, 2, -1], [3, 4, -1], [0, 1, 2]])
    # Jaccard of {a,b} and {b,c} is 1/3; nothing and nothing share nothing.
    expected = [0, 2 / 3, 1, 1 - (1 + 1 / 3 + 1 / 3) / 3]
    assert metrics.category_diversity(ranked, codes) == pytest.approx(expected)


def test_a_list_like_the_history_is_calibrated() -> None:
    codes = metrics.category_codes([["a"], ["b"], ["a", "b"], []])
    ranked = np.array([[0, 1], [0, -1], [0, -1], [3, -1], [0, 3]])
    histories = [np.array(x) for x in ([2], [0], [1], [0], [3])]
    found = metrics.calibration(ranked, histories, codes)
    # Half a and half b twice; a and a; only b wanted but a given; and twice nothing known.
    assert found[:3] == pytest.approx([0, 0, math.log(1 / 0.01)])
    assert np.isnan(found[3:]).all()


def test_calibration_follows_its_formula() -> None:
    codes = metrics.category_codes([["a"], ["b"], ["c"]])
    histories = [np.array([0, 0, 0, 1])]
    found = metrics.calibration(np.array([[0, 1]]), histories, codes)
    expected = sum(p * math.log(p / (0.99 * 0.5 + 0.01 * p)) for p in (0.75, 0.25))
    assert found == pytest.approx([expected])
