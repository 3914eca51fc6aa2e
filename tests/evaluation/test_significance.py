"""Significance: exact answers where they can be counted, correct error rates elsewhere."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from palate.data.dataset import Dataset
from palate.errors import DataError
from palate.evaluation.protocol import Evaluation, evaluate
from palate.evaluation.significance import (
    bootstrap_intervals,
    compare,
    compare_all,
    holm,
    sign_flip_p_value,
)
from palate.types import SupportsScore

ScoreAs = Callable[[np.ndarray], SupportsScore]


def test_interval_of_a_constant_has_no_width(rng: np.random.Generator) -> None:
    assert bootstrap_intervals(np.full((20, 2), 0.3), rng) == pytest.approx(np.full((2, 2), 0.3))


def test_interval_is_that_of_the_normal_approximation(rng: np.random.Generator) -> None:
    values = rng.random((4000, 1))
    ((low, high),) = bootstrap_intervals(values, rng)
    half = 1.96 * values.std() / np.sqrt(4000)
    assert (low, high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=half * 0.15
    )


def test_interval_is_that_of_scipy() -> None:
    # The same draws in the same order, so that one may take the place of the other.
    values = np.random.default_rng(1).random((40, 3))
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=200, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    own = bootstrap_intervals(values, np.random.default_rng(2), num_resamples=200)
    np.testing.assert_allclose(own, np.stack([found.low, found.high], axis=1), rtol=1e-12)


def test_p_value_is_that_of_scipy(rng: np.random.Generator) -> None:
    differences = rng.standard_normal(60) + 0.2
    reference = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng
    )
    assert sign_flip_p_value(differences, rng) == pytest.approx(reference.pvalue, abs=0.02)


def test_p_value_is_the_share_of_all_sign_patterns(rng: np.random.Generator) -> None:
    differences = np.array([0.5, 0.25, -0.125, 1.0, 0.0, 0.75])
    sums = [
        abs(np.dot(signs, differences[differences != 0]))
        for signs in itertools.product([-1, 1], repeat=5)
    ]
    exact = np.mean(np.array(sums) >= abs(differences.sum()))
    assert sign_flip_p_value(differences, rng) == pytest.approx(exact, abs=0.01)


def test_no_difference_is_not_significant(rng: np.random.Generator) -> None:
    assert sign_flip_p_value(np.zeros(10), rng) == 1


def test_p_value_is_uniform_where_there_is_nothing_to_find(rng: np.random.Generator) -> None:
    p_values = [
        sign_flip_p_value(rng.standard_normal(50), rng, num_permutations=300) for _ in range(300)
    ]
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.05)


def test_holm_by_hand() -> None:
    # Holm 1979: 3 * 0.01, 2 * 0.02 and 1 * 0.5, none smaller than the one before.
    assert holm([0.5, 0.01, 0.02]) == pytest.approx([0.5, 0.03, 0.04])
    assert holm([0.03, 0.03]) == pytest.approx([0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))
    assert [corrected[i] for i in np.argsort(p_values, kind="stable")] == sorted(corrected)


def test_a_recommender_that_knows_the_answers_is_significantly_better(
    found: Evaluation, perfect: Evaluation, rng: np.random.Generator
) -> None:
    better, same = compare(found, perfect, ["recall@10"], rng), compare(found, found, ["auc"], rng)
    assert better[0].low > 0
    assert better[0].p_value < 0.001
    assert better[0].difference == pytest.approx(
        perfect.masked["recall@10"] - found.masked["recall@10"]
    )
    assert (same[0].low, same[0].high, same[0].p_value) == (0, 0, 1)


def test_more_questions_make_each_answer_less_sure(
    shop: Dataset, found: Evaluation, score_as: ScoreAs
) -> None:
    other = evaluate(score_as(np.random.default_rng(9).random((80, 60))), shop)
    metrics = ["recall@20"]
    alone = compare(found, other, metrics, np.random.default_rng(0))[0]
    among = compare_all(
        found, {"a": other, "b": other, "c": other}, metrics, np.random.default_rng(0)
    )
    assert among["a"][0].p_value >= alone.p_value
    assert (among["a"][0].low, among["a"][0].high) == (alone.low, alone.high)


def test_other_cases_cannot_be_compared(
    shop: Dataset, scorer: SupportsScore, found: Evaluation, rng: np.random.Generator
) -> None:
    with pytest.raises(DataError, match="same cases"):
        compare(found, evaluate(scorer, shop, "valid"), ["recall@10"], rng)
    with pytest.raises(DataError, match="recall@7"):
        compare(found, found, ["recall@7"], rng)
    with pytest.raises(DataError, match="values per user"):
        compare(found, replace(found, per_user={}), ["recall@10"], rng)
