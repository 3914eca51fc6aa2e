"""Which candidates stand in one question, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from palate.training.prompting import PromptingConfig


@dataclass(frozen=True)
class View:
    """One question about some candidates of one list."""

    of: int
    """The number of the list."""
    shown: tuple[int, ...]
    """Places of the candidates in the base's list, in the order in which they are shown."""


def views_of(of: int, candidates: int, settings: PromptingConfig, seed: int) -> list[View]:
    """Return the questions about one list of ``candidates``.

    Each of ``settings.orders`` times, every candidate is shown once, in groups that hold
    ``settings.at_once``. Every second time mirrors the one before, so that a candidate's mean place
    in two is the middle. A rest of one joins the group before it.
    """
    rng = np.random.default_rng([settings.seed, seed])
    found: list[View] = []
    order = np.arange(candidates)
    for time in range(settings.orders):
        if time % 2:
            order = order[::-1]
        elif settings.order == "shuffled":
            order = rng.permutation(candidates)
        else:
            order = np.arange(candidates)
        found += [View(of, tuple(part)) for part in _cut(order.tolist(), settings.at_once)]
    return found


def _cut(order: Sequence[int], size: int) -> list[Sequence[int]]:
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        # Two are told apart by letters whatever the group, so that one more does no harm.
        parts[-2:] = [[*parts[-2], *parts[-1]]]
    return parts


def borda(
    candidates: int,
    views: Sequence[View],
    values: Sequence[Float[np.ndarray, " shown"] | None],
) -> Float[np.ndarray, " candidates"] | None:
    """Return each candidate's mean share of the others that it beat; None where nobody voted.

    In a view of ``m`` candidates the share of one is ``(below + ties / 2) / (m - 1)``. NaN is
    below every value. A candidate without a vote stands at one half.
    """
    shares, votes = np.zeros(candidates), np.zeros(candidates)
    for view, value in zip(views, values, strict=True):
        if value is not None and len(view.shown) > 1:
            shown = list(view.shown)
            shares[shown] += shares_beaten(value)
            votes[shown] += 1
    if not votes.any():
        return None
    return np.asarray(np.where(votes > 0, shares / np.maximum(votes, 1), 0.5))


def shares_beaten(values: Float[np.ndarray, " shown"]) -> Float[np.ndarray, " shown"]:
    """Return, for each of two or more values, the share of the others below it, ties by half.

    >>> shares_beaten(np.array([3.0, np.nan, 1.0, 1.0])).tolist()
    [1.0, 0.0, 0.5, 0.5]
    """
    known = np.where(np.isnan(values), -np.inf, values)
    below = (known[:, None] > known[None, :]).sum(axis=1)
    ties = (known[:, None] == known[None, :]).sum(axis=1) - 1
    return np.asarray((below + ties / 2) / (len(values) - 1))
