"""Hybrid answers: what was retrieved by vectors and what was spelled in codes, in one list."""

import numpy as np
from jaxtyping import Bool, Float

from palate.types import Ranking


def with_raised(
    scores: Float[np.ndarray, "users items"], new: Bool[np.ndarray, " items"], by: float
) -> Float[np.ndarray, "users items"]:
    """Return the scores with those of the ``new`` items raised."""
    return np.where(new, scores + np.float32(by), scores) if by else scores


def blended(
    scores: Float[np.ndarray, " items"],
    by_set: Ranking,
    by_codes: Ranking,
    weight: float,
    n: int,
) -> Ranking:
    """Return the best ``n`` of two lists; what was not spelled counts as the last that was.

    ``score = scores[item] + weight · log p(codes of the item)``.
    """
    rows = np.union1d(by_set.item_rows, by_codes.item_rows)
    said = np.full(len(rows), by_codes.scores.min() if len(by_codes) else 0.0, dtype=np.float32)
    said[np.searchsorted(rows, by_codes.item_rows)] = by_codes.scores
    joined = scores[rows] + np.float32(weight) * said
    best = np.argsort(-joined, kind="stable")[:n]
    return Ranking(rows[best], joined[best])
