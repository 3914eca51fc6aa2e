"""Metrics of ratings, probabilities and choices: pure functions of predicted and true values.

Legend: N answers, one per pair of user and item.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from palate.errors import DataError

SMALLEST_PROBABILITY = 1e-7
"""Probabilities are clipped to this distance from 0 and 1, so that the log loss stays finite."""
CALIBRATION_BINS = 15


# --- Ratings


def rmse(predicted: Float[np.ndarray, " N"], actual: Float[np.ndarray, " N"]) -> float:
    """Return the root of the mean squared error, ``sqrt( mean (predicted - actual)² )``."""
    return float(np.sqrt(np.square(_differences(predicted, actual)).mean()))


def mae(predicted: Float[np.ndarray, " N"], actual: Float[np.ndarray, " N"]) -> float:
    """Return the mean absolute error, ``mean |predicted - actual|``."""
    return float(np.abs(_differences(predicted, actual)).mean())


# --- Yes or no


def score_yes_no(
    probabilities: Float[np.ndarray, " N"],
    labels: Bool[np.ndarray, " N"],
    user_rows: Int[np.ndarray, " N"],
) -> dict[str, float]:
    """Return ``auc``, ``uauc``, ``ece`` and ``log_loss`` of the probabilities of *yes*."""
    return {
        "auc": auc(probabilities, labels),
        "uauc": user_auc(probabilities, labels, user_rows),
        "ece": expected_calibration_error(probabilities, labels),
        "log_loss": log_loss(probabilities, labels),
    }


def auc(scores: Float[np.ndarray, " N"], labels: Bool[np.ndarray, " N"]) -> float:
    """Return the probability that a *yes* scores above a *no*; a tie counts one half.

    The area under the ROC curve by ranks (Mann and Whitney 1947); NaN if all labels are equal.
    """
    _same_length(scores, labels)
    yes = np.asarray(labels, dtype=bool)
    num_yes, num_no = int(yes.sum()), int((~yes).sum())
    if not num_yes or not num_no:
        return float("nan")
    rank_sum = float(rankdata(scores)[yes].sum())
    return (rank_sum - num_yes * (num_yes + 1) / 2) / (num_yes * num_no)


def user_auc(
    scores: Float[np.ndarray, " N"],
    labels: Bool[np.ndarray, " N"],
    user_rows: Int[np.ndarray, " N"],
) -> float:
    """Return UAUC: the mean of :func:`auc` over the users who have both labels.

    Each user counts once, whatever the number of answers, as in the published code of CoLLM (Zhang
    et al. 2023); users with only one label are left out. NaN if no user has both.
    """
    _same_length(scores, user_rows)
    order = np.argsort(user_rows, kind="stable")
    bounds = np.flatnonzero(np.diff(np.asarray(user_rows)[order])) + 1
    values = np.array(
        [auc(scores[part], labels[part]) for part in np.split(order, bounds) if len(part) > 1]
    )
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def expected_calibration_error(
    probabilities: Float[np.ndarray, " N"],
    labels: Bool[np.ndarray, " N"],
    *,
    num_bins: int = CALIBRATION_BINS,
) -> float:
    """Return the mean distance between probabilities and frequencies (Guo et al. 2017).

    ``ECE = Σ_b |b|/N · | mean probability in b - share of yes in b |`` over ``num_bins`` bins of
    equal width; a probability on a border belongs to the lower bin.
    """
    _same_length(probabilities, labels)
    bins = np.clip(np.ceil(np.asarray(probabilities, np.float64) * num_bins) - 1, 0, num_bins - 1)
    excess = np.asarray(probabilities, dtype=np.float64) - np.asarray(labels, dtype=np.float64)
    summed = np.bincount(bins.astype(np.int64), weights=excess, minlength=num_bins)
    return float(np.abs(summed).sum() / len(excess))


def log_loss(probabilities: Float[np.ndarray, " N"], labels: Bool[np.ndarray, " N"]) -> float:
    """Return the mean of ``-log`` of the probability of the true label, in nats."""
    _same_length(probabilities, labels)
    yes = np.asarray(labels, dtype=bool)
    given = np.where(yes, probabilities, 1 - np.asarray(probabilities, dtype=np.float64))
    return float(-np.log(np.clip(given, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)).mean())


# --- Choice among candidates


def score_choices(
    answers: Sequence[str], candidates: Sequence[Sequence[str]], targets: Sequence[str]
) -> dict[str, float]:
    """Return ``valid_ratio``, ``hit_ratio_1`` and ``accuracy`` of answers that name one candidate.

    ``valid_ratio`` is the share of answers that name exactly one candidate (see
    :func:`chosen_candidate`), ``hit_ratio_1`` the share of *valid* answers that name the target, as
    in the published code of LLaRA (Liao et al. 2024), and ``accuracy`` the share of *all* answers
    that do: a model cannot increase it with invalid answers.
    """
    if not len(answers) == len(candidates) == len(targets):
        raise DataError(
            f"Each answer needs its candidates and its target, got {len(answers):,} answers, "
            f"{len(candidates):,} lists of candidates and {len(targets):,} targets.",
            hint="Give three lists of the same length, in the same order.",
        )
    chosen = [chosen_candidate(*pair) for pair in zip(answers, candidates, strict=True)]
    valid = sum(choice is not None for choice in chosen)
    hits = sum(
        choice == _plain(target) for choice, target in zip(chosen, targets, strict=True) if choice
    )
    return {
        "valid_ratio": valid / max(len(answers), 1),
        "hit_ratio_1": hits / max(valid, 1),
        "accuracy": hits / max(len(answers), 1),
    }


def chosen_candidate(answer: str, candidates: Sequence[str]) -> str | None:
    """Return the candidate that an answer names, in lower case; None if it names none or several.

    An answer that equals a candidate names only it. Otherwise an answer names each candidate that
    it contains, ignoring case. The first rule is ours: without it the answer "Aliens" would also
    name "Alien".
    """
    plain = _plain(answer)
    titles = {_plain(candidate) for candidate in candidates} - {""}
    named = [plain] if plain in titles else [title for title in titles if title in plain]
    return named[0] if len(named) == 1 else None


def _plain(text: str) -> str:
    return text.strip().lower()


def _differences(first: np.ndarray, second: np.ndarray) -> Float[np.ndarray, " N"]:
    _same_length(first, second)
    return np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)


def _same_length(first: np.ndarray, second: np.ndarray) -> None:
    if len(first) != len(second) or not len(first):
        raise DataError(
            f"Two equally long arrays of answers are needed, got {len(first):,} and "
            f"{len(second):,}.",
            hint="Give one value per pair of user and item, at least one.",
        )
