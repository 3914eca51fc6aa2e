"""Significance: bootstrap intervals, paired tests, and correction for many comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from palate.errors import DataError
from palate.evaluation.result import Evaluation

NUM_RESAMPLES = 1000
NUM_PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Comparison:
    """How much better the second of two recommenders is than the first, on the same users."""

    metric: str
    first: float
    second: float
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    p_value: float
    """Probability of a difference this large if there is none; corrected by :func:`holm`."""

    @property
    def difference(self) -> float:
        """Mean of the second minus mean of the first."""
        return self.second - self.first


def bootstrap_intervals(
    values: Float[np.ndarray, "users metrics"],
    rng: np.random.Generator,
    *,
    num_resamples: int = NUM_RESAMPLES,
    confidence: float = 0.95,
) -> Float[np.ndarray, "metrics 2"]:
    """Return the percentile bootstrap interval of each column's mean (Efron 1979).

    Users are drawn with replacement and all columns share the draws: a mean over a resample is
    ``counts · values / users``, one matrix product for all.
    """
    num_users = len(values)
    if num_users == 0:
        return np.full((values.shape[1], 2), np.nan)
    # Blocks of resamples bound the memory of the draws, which are users x resamples numbers.
    block = max(1, 500_000 // num_users)
    sums = []
    for start in range(0, num_resamples, block):
        resamples = np.arange(min(block, num_resamples - start))[:, None]
        # Each resample gets a range of numbers of its own, so that one bincount counts all of them.
        drawn = rng.integers(0, num_users, (len(resamples), num_users)) + resamples * num_users
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        sums.append(counts @ values)
    means = np.concatenate(sums) / num_users
    tail = (1 - confidence) / 2
    ends: np.ndarray = np.quantile(means, [tail, 1 - tail], axis=0).T
    return ends


def sign_flip_p_value(
    differences: Float[np.ndarray, " users"],
    rng: np.random.Generator,
    *,
    num_permutations: int = NUM_PERMUTATIONS,
) -> float:
    """Return the two-sided p-value of a paired permutation test (Fisher 1935).

    If two recommenders are equally good, each user's difference is as likely to have the other
    sign: ``p = (1 + #{|Σ ±d| >= |Σ d|}) / (1 + permutations)``. Users without a difference change
    no sum and are left out.
    """
    moved = differences[differences != 0]
    observed = abs(float(moved.sum()))
    # Sums that are equal on paper may differ in the last bits; a tie counts as large, so that the
    # p-value is never too small.
    threshold = observed - 1e-9 * max(1.0, observed)
    as_large = 0
    block = max(1, 4_000_000 // max(1, len(moved)))
    for start in range(0, num_permutations, block):
        shape = (min(block, num_permutations - start), len(moved))
        flips = rng.integers(0, 2, shape, dtype=np.int8)
        # Flipping the sign of d changes the sum by -2 d: one matrix product for all permutations.
        sums = moved.sum() - 2 * (flips @ moved)
        as_large += int((np.abs(sums) >= threshold).sum())
    # The unpermuted order counts as one permutation, so that no p-value is 0.
    return (1 + as_large) / (1 + num_permutations)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for several comparisons (Holm 1979), in their order.

    With the p-values in ascending order, ``p̃_i = max_{j≤i} min(1, (m - j + 1) p_j)``.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    # The smallest p-value is multiplied by the number of comparisons, the next by one less, and so
    # on; the running maximum keeps a smaller p-value from getting a larger correction.
    scaled = np.minimum(values[order] * np.arange(len(values), 0, -1), 1.0)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(scaled)
    return [float(value) for value in corrected]


def compare(
    first: Evaluation,
    second: Evaluation,
    metrics: Sequence[str],
    rng: np.random.Generator,
) -> list[Comparison]:
    """Compare two evaluations user by user, p-values corrected for the number of metrics.

    Raises:
        DataError: when the two do not have the same cases, or lack a metric's values per user.
    """
    return compare_all(first, {"second": second}, metrics, rng)["second"]


def compare_all(
    reference: Evaluation,
    others: Mapping[str, Evaluation],
    metrics: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, list[Comparison]]:
    """Compare several evaluations with one reference, p-values corrected over all comparisons.

    Raises:
        DataError: when one does not have the same cases, or lacks the values per user of a metric.
    """
    raw = {name: _uncorrected(reference, other, metrics, rng) for name, other in others.items()}
    corrected = iter(holm([x.p_value for found in raw.values() for x in found]))
    return {
        name: [replace(x, p_value=next(corrected)) for x in found] for name, found in raw.items()
    }


def _uncorrected(
    first: Evaluation, second: Evaluation, metrics: Sequence[str], rng: np.random.Generator
) -> list[Comparison]:
    check_comparable(first, second, metrics)
    if not metrics:
        return []
    columns = [second.per_user[name] - first.per_user[name] for name in metrics]
    ends = bootstrap_intervals(np.stack(columns, axis=1), rng)
    return [
        Comparison(
            metric=name,
            first=first.masked[name],
            second=second.masked[name],
            low=float(low),
            high=float(high),
            p_value=sign_flip_p_value(column, rng),
        )
        for name, column, (low, high) in zip(metrics, columns, ends, strict=True)
    ]


def check_comparable(first: Evaluation, second: Evaluation, metrics: Sequence[str]) -> None:
    """Check that two evaluations can be compared user by user.

    Raises:
        DataError: when they cannot.
    """
    if (first.part, first.cases) != (second.part, second.cases):
        raise DataError(
            f"Two evaluations did not answer the same cases: {first.dataset!r} {first.part} "
            f"({first.users:,} users), {second.dataset!r} {second.part} ({second.users:,} users).",
            hint="Evaluate both models on the same dataset and part.",
        )
    lacking = [x for x in metrics if x not in first.per_user or x not in second.per_user]
    if lacking:
        raise DataError(
            f"An evaluation lacks the values per user of {', '.join(lacking)}.",
            hint="Evaluate again with the same cut-offs.",
        )
