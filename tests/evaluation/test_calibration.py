"""Calibration finds a known distortion, and never reverses an order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from palate.evaluation.answer_metrics import log_loss
from palate.evaluation.calibration import (
    Calibration,
    LevelCalibration,
    fit_calibration,
    fit_levels,
)


def test_nothing_changes_by_default() -> None:
    chances = np.asarray([0.1, 0.5, 0.9])
    assert_allclose(Calibration().applied(chances), chances)


def test_the_distortion_is_found(rng: np.random.Generator) -> None:
    true = rng.uniform(0.05, 0.95, 20_000)
    labels = rng.random(20_000) < true
    reported = expit(2.0 * logit(true) - 0.6)
    found = fit_calibration(reported, labels)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.intercept == pytest.approx(0.3, abs=0.06)
    assert log_loss(found.applied(reported), labels) < log_loss(reported, labels)


def test_the_trust_in_another_source_depends_on_its_quality(rng: np.random.Generator) -> None:
    reported, known = rng.normal(size=20_000), rng.normal(size=20_000)
    labels = rng.random(20_000) < expit(0.5 * reported + 1.5 * known + 0.3)
    found = fit_calibration(expit(reported), labels, known)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.trust == pytest.approx(1.5, abs=0.06)
    both = found.applied(expit(reported), known)
    assert log_loss(both, labels) < log_loss(
        fit_calibration(expit(reported), labels).applied(expit(reported)), labels
    )
    misled = fit_calibration(expit(reported), labels, -known)
    assert misled.trust == 0, "what speaks against the truth is not turned round"


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_the_order_stays_and_the_penalised_loss_does_not_grow(
    answers: list[tuple[float, bool]],
) -> None:
    chances = np.asarray([chance for chance, _ in answers])
    labels = np.asarray([label for _, label in answers])
    found = fit_calibration(chances, labels)
    assert found.slope > 0
    applied = found.applied(chances)
    assert (np.diff(applied[np.argsort(chances, kind="stable")]) >= 0).all()
    assert ((applied >= 0) & (applied <= 1)).all()


def test_without_answers_calibration_changes_nothing() -> None:
    found = fit_calibration(np.zeros(0), np.zeros(0, dtype=bool))
    assert (found.slope, found.intercept) == (1.0, 0.0)


def test_levels_do_not_change_by_default(rng: np.random.Generator) -> None:
    chances = rng.dirichlet(np.ones(5), size=4)
    assert_allclose(LevelCalibration().applied(chances, np.ones(4)), chances, atol=1e-5)


def test_another_source_is_used_if_the_model_is_uninformative(
    rng: np.random.Generator,
) -> None:
    known = rng.normal(size=4_000)
    places = np.clip(np.round(2 + known + 0.3 * rng.normal(size=4_000)), 0, 4).astype(np.int64)
    blind = np.full((4_000, 5), 0.2)
    found = fit_levels(blind, known, places)
    assert found.trust > 1
    applied = found.applied(blind, known)
    assert_allclose(applied.sum(axis=1), 1)
    assert np.abs(applied @ np.arange(5) - places).mean() < 0.5
    useless = fit_levels(blind, rng.normal(size=4_000), places)
    assert useless.trust < 0.15


def test_levels_become_their_frequencies(rng: np.random.Generator) -> None:
    shares = np.asarray([0.1, 0.1, 0.2, 0.2, 0.4])
    places = rng.choice(5, size=6_000, p=shares)
    sure = np.tile([0.01, 0.01, 0.02, 0.06, 0.9], (6_000, 1))
    found = fit_levels(sure, np.zeros(6_000), places)
    assert found.applied(sure[:1], np.zeros(1))[0] @ np.arange(5) == pytest.approx(
        places.mean(), abs=0.03
    )
