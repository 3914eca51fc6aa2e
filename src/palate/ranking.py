"""From scores to lists: masking, candidates and top-n, the same for every recommender that scores with arrays."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from palate.types import History, Ranking


def mask_scores(
    scores: Float[np.ndarray, "users items"],
    histories: Sequence[History],
    *,
    candidates: Int[np.ndarray, " candidates"] | None = None,
    exclude_seen: bool = True,
) -> Float[np.ndarray, "users items"]:
    """Return a copy of ``scores`` with -inf for what may not be recommended."""
    masked = scores.copy()
    if candidates is not None:
        outside = np.ones(scores.shape[1], dtype=bool)
        outside[candidates] = False
        masked[:, outside] = -np.inf
    if exclude_seen:
        for user, history in enumerate(histories):
            masked[user, history.item_rows] = -np.inf
    return masked


def top_rankings(scores: Float[np.ndarray, "users items"], n: int) -> list[Ranking]:
    """Return the best ``n`` finite-scored items per user; equal scores are ordered by row, lower first.

    Rows are a random permutation of the ids, so that the tie rule leaks no order.
    """
    n = min(n, scores.shape[1])
    # Candidates for the top n by value alone, then every tie at the boundary settled by row.
    boundary = -np.partition(-scores, n - 1, axis=1)[:, n - 1] if n else np.zeros(len(scores))
    rankings = []
    for row_scores, lowest in zip(scores, boundary, strict=True):
        rows = np.flatnonzero((row_scores >= lowest) & (row_scores > -np.inf))
        best = rows[np.lexsort((rows, -row_scores[rows]))][:n]
        rankings.append(Ranking(item_rows=best, scores=row_scores[best]))
    return rankings
