"""Calibration of probabilities on a held-out split."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize
from scipy.special import expit, logit, logsumexp, softmax

_SMALLEST = 1e-6
"""Probabilities are clipped to this distance from 0 and 1, where the logit is infinite."""
_PENALTY = 1.0
"""Weight of the penalty that keeps the result near the uncalibrated model if data is scarce."""


@dataclass(frozen=True)
class Calibration:
    """``p' = sigmoid(slope · logit(p) + intercept + trust · known)``; by default nothing changes.

    ``known`` are log-odds from another source. Without them this is Platt scaling (1999), where
    ``1 / slope`` is a temperature (Guo et al. 2017). The slope is positive, which keeps the order.

    Example:
        >>> Calibration(slope=0.5).applied(np.asarray([0.2, 0.8])).round(3).tolist()
        [0.333, 0.667]
    """

    slope: float = 1.0
    intercept: float = 0.0
    trust: float = 0.0

    def applied(
        self,
        probabilities: Float[np.ndarray, " N"],
        known: Float[np.ndarray, " N"] | None = None,
    ) -> Float[np.ndarray, " N"]:
        """Return the calibrated probabilities; without ``known`` its term is 0."""
        logits = self.slope * _logits(probabilities) + self.intercept
        return np.asarray(expit(logits if known is None else logits + self.trust * known))


def fit_calibration(
    probabilities: Float[np.ndarray, " N"],
    labels: Bool[np.ndarray, " N"],
    known: Float[np.ndarray, " N"] | None = None,
) -> Calibration:
    """Return the calibration with the least log loss on held-out answers.

    It minimises ``Σ log loss + ½ · (log² slope + intercept² + trust²)``; the penalty only matters
    with few answers.

    Args:
        probabilities: probabilities of held-out answers.
        labels: True for correct answers.
        known: log-odds from another source; without them the trust stays 0.
    """
    logits, signs = _logits(probabilities), np.where(labels, 1.0, -1.0)
    known = np.zeros(len(logits)) if known is None else known

    def loss(at: Float[np.ndarray, " three"]) -> tuple[float, Float[np.ndarray, " three"]]:
        slope, intercept, trust = np.exp(at[0]), at[1], at[2]
        margins = signs * (slope * logits + intercept + trust * known)
        pull = -signs * expit(-margins)
        along = np.asarray([slope * (pull * logits).sum(), pull.sum(), (pull * known).sum()])
        log_loss = float(np.logaddexp(0.0, -margins).sum())
        return log_loss + _PENALTY * float((at**2).sum()) / 2, along + _PENALTY * at

    bounds = [(-5.0, 5.0), (-10.0, 10.0), (0.0, 10.0)]
    found = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B", bounds=bounds)
    return Calibration(float(np.exp(found.x[0])), float(found.x[1]), float(found.x[2]))


@dataclass(frozen=True)
class LevelCalibration:
    """Calibration of the probabilities of the levels of a rating scale.

    ``p'(l) ∝ p(l)^slope · exp((tilt + trust · known) · z(l) + bend · z(l)²)``, where ``z`` goes
    from -1 to 1 along the ordered levels, and ``known`` is another source's estimate of the rating,
    relative to the mean. By default nothing changes.
    """

    slope: float = 1.0
    tilt: float = 0.0
    bend: float = 0.0
    trust: float = 0.0

    def applied(
        self, chances: Float[np.ndarray, "N levels"], known: Float[np.ndarray, " N"]
    ) -> Float[np.ndarray, "N levels"]:
        """Return the calibrated probabilities."""
        weights = np.asarray([self.slope, self.tilt, self.bend, self.trust])
        return np.asarray(softmax(_of_levels(chances, known) @ weights, axis=1))


def fit_levels(
    chances: Float[np.ndarray, "N levels"],
    known: Float[np.ndarray, " N"],
    places: Int[np.ndarray, " N"],
) -> LevelCalibration:
    """Return the calibration of least log loss, with the penalty of :func:`fit_calibration`.

    Args:
        chances: probability of each level, for held-out answers.
        known: another source's estimate for each answer, relative to the mean.
        places: index of the correct level.
    """
    features, default = _of_levels(chances, known), np.asarray([1.0, 0.0, 0.0, 0.0])
    right = np.take_along_axis(features, places[:, None, None], axis=1)[:, 0]

    def loss(at: Float[np.ndarray, " four"]) -> tuple[float, Float[np.ndarray, " four"]]:
        logits = features @ at
        expected = np.einsum("nl,nlf->f", softmax(logits, axis=1), features)
        log_loss = (logsumexp(logits, axis=1) - right @ at).sum()
        away = at - default
        gradient = expected - right.sum(0) + _PENALTY * away
        return float(log_loss + _PENALTY * (away**2).sum() / 2), gradient

    bounds = [(0.01, 10.0), (-10.0, 10.0), (-10.0, 10.0), (0.0, 10.0)]
    found = minimize(loss, default, jac=True, method="L-BFGS-B", bounds=bounds)
    return LevelCalibration(*found.x.tolist())


def _of_levels(
    chances: Float[np.ndarray, "N levels"], known: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N levels four"]:
    """Return the features that the exponent is a linear function of."""
    logs = np.log(np.clip(np.asarray(chances, dtype=np.float64), _SMALLEST, 1.0))
    along = np.broadcast_to(np.linspace(-1.0, 1.0, chances.shape[1]), logs.shape)
    return np.stack([logs, along, along**2, known[:, None] * along], axis=2)


def _logits(probabilities: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    kept = np.clip(np.asarray(probabilities, dtype=np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.asarray(logit(kept))
