"""Metrics of ratings, probabilities and choices: answers known by reasoning."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from palate.errors import DataError
from palate.evaluation.answer_metrics import (
    auc,
    chosen_candidate,
    expected_calibration_error,
    log_loss,
    mae,
    rmse,
    score_choices,
    score_yes_no,
    user_auc,
)

PROBABILITIES = np.array([0.9, 0.8, 0.3, 0.3, 0.2, 0.6])
LABELS = np.array([True, False, True, False, False, True])


def test_errors_of_ratings() -> None:
    predicted, actual = np.array([4.0, 3.0, 5.0]), np.array([5.0, 3.0, 3.0])
    assert rmse(predicted, actual) == pytest.approx(math.sqrt(5 / 3))
    assert mae(predicted, actual) == 1.0


def test_auc_and_log_loss_are_those_of_scikit_learn() -> None:
    # scikit-learn 1.9.1: roc_auc_score and log_loss.
    assert auc(PROBABILITIES, LABELS) == pytest.approx(0.7222222222222222, abs=1e-12)
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(0.6682358919061326, abs=1e-12)


def test_auc_of_a_single_label_is_nan() -> None:
    assert math.isnan(auc(PROBABILITIES, np.ones(6, dtype=bool)))
    assert math.isnan(user_auc(PROBABILITIES, LABELS, np.arange(6)))


def test_each_user_with_both_labels_counts_once() -> None:
    scores = np.array([0.9, 0.1, 0.9, 0.1, 0.2, 0.3, 0.7])
    labels = np.array([1, 0, 0, 1, 1, 1, 1], dtype=bool)
    users = np.array([7, 7, 3, 3, 3, 3, 5])
    # User 7: all pairs right, user 3: none of three, user 5: one label only.
    assert user_auc(scores, labels, users) == pytest.approx(0.5)
    order = np.array([6, 2, 0, 5, 1, 4, 3])
    assert user_auc(scores[order], labels[order], users[order]) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20))
def test_auc_is_the_share_of_pairs_in_order(answers: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in answers], dtype=float)
    labels = np.array([label for _, label in answers])
    pairs = [(y > n) + (y == n) / 2 for y in scores[labels] for n in scores[~labels]]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([0.1, 0.2, 0.9, 1.0, 0.0])
    labels = np.array([False, True, True, True, False])
    # Two bins: |0.3 - 1| of the three low ones, |1.9 - 2| of the two high ones, over five.
    assert expected_calibration_error(probabilities, labels, num_bins=2) == pytest.approx(0.8 / 5)
    assert expected_calibration_error(np.full(4, 0.5), np.array([1, 1, 0, 0], bool)) == 0.0


def test_a_confident_error_has_a_large_but_finite_loss() -> None:
    assert log_loss(np.array([0.0]), np.array([True])) == pytest.approx(-math.log(1e-7))
    assert log_loss(np.array([1.0]), np.array([True])) == pytest.approx(0, abs=1e-6)


def test_yes_no_names_every_metric() -> None:
    scores = score_yes_no(PROBABILITIES, LABELS, np.zeros(6, dtype=int))
    assert list(scores) == ["auc", "uauc", "ece", "log_loss"]
    assert scores["auc"] == scores["uauc"]


def test_a_choice_is_valid_if_it_names_exactly_one_candidate() -> None:
    titles = ["Alien", "Aliens", "Heat"]
    assert chosen_candidate("aliens ", titles) == "aliens"
    assert chosen_candidate("I choose Heat.", titles) == "heat"
    assert chosen_candidate("Heat or Alien", titles) is None
    assert chosen_candidate("Titanic", titles) is None
    assert chosen_candidate("Heat", ["Heat", "heat", ""]) == "heat"


def test_choices_are_scored_over_valid_and_over_all() -> None:
    titles = ["Heat", "Big", "Jaws"]
    answers = ["Heat", "Big", "no idea", "The answer is Jaws"]
    scores = score_choices(answers, [titles] * 4, ["Heat", "Heat", "Big", "jaws"])
    assert scores == {"valid_ratio": 0.75, "hit_ratio_1": pytest.approx(2 / 3), "accuracy": 0.5}
    assert score_choices([], [], []) == {"valid_ratio": 0, "hit_ratio_1": 0, "accuracy": 0}


def test_lists_of_different_lengths_are_an_error() -> None:
    with pytest.raises(DataError, match="its candidates and its target"):
        score_choices(["a"], [], ["a"])
    with pytest.raises((DataError, TypeCheckError)):  # whichever looks first
        rmse(np.zeros(2), np.zeros(3))
    with pytest.raises(DataError, match="equally long"):
        mae(np.zeros(0), np.zeros(0))
