"""From scores to lists: masking, candidates and top-n, the same for all that score with arrays."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

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


def top_rows(
    scores: Float[np.ndarray, "users items"], n: int
) -> tuple[Int[np.ndarray, "users n"], Float[np.ndarray, "users n"]]:
    """Return the rows and scores of the best ``n`` finite-scored items per user, best first.

    Equal scores are ordered by row, lower first. Rows are a random permutation of the ids, so that
    the tie rule leaks no order. Where fewer than ``n`` items may be recommended the list ends with
    row -1 and score -inf.
    """
    users, items = scores.shape
    n = min(n, items)
    best_rows = np.full((users, n), -1, dtype=np.int64)
    best_scores = np.full((users, n), -np.inf, dtype=scores.dtype)
    if users and n:
        places = np.flatnonzero(_chosen(scores, n))
        user, row = np.divmod(places, items)
        place = np.arange(len(places)) - np.searchsorted(user, np.arange(users))[user]
        best_rows[user, place] = row
        best_scores[user, place] = scores[user, row]
        order = np.argsort(-best_scores, axis=1, kind="stable")
        best_rows = np.take_along_axis(best_rows, order, axis=1)
        best_scores = np.take_along_axis(best_scores, order, axis=1)
    return best_rows, best_scores


def top_rankings(scores: Float[np.ndarray, "users items"], n: int) -> list[Ranking]:
    """Return :func:`top_rows` as one :class:`Ranking` per user, each as long as there are items."""
    return [
        Ranking(item_rows=rows[rows >= 0], scores=values[rows >= 0])
        for rows, values in zip(*top_rows(scores, n), strict=True)
    ]


def _chosen(scores: Float[np.ndarray, "users items"], n: int) -> Bool[np.ndarray, "users items"]:
    """Mark the best ``n`` of each user: all above the n-th score, then its equals by row."""
    items = scores.shape[1]
    boundary = np.partition(scores, items - n, axis=1)[:, items - n, None]
    chosen: np.ndarray = scores > boundary
    tied = (scores == boundary) & (boundary > -np.inf)
    wanted = n - chosen.sum(axis=1)
    crowded = np.flatnonzero(tied.sum(axis=1) > wanted)
    tied[crowded] &= tied[crowded].cumsum(axis=1, dtype=np.int32) <= wanted[crowded, None]
    chosen |= tied
    return chosen


def rank_scored(
    score: Callable[[Sequence[History]], Float[np.ndarray, "users items"]],
    histories: Sequence[History],
    n: int,
    *,
    candidates: Int[np.ndarray, " candidates"] | None = None,
    exclude_seen: bool = True,
    users_at_once: int = 512,
) -> list[Ranking]:
    """Return the best ``n`` items of each history by a function that scores the whole catalogue."""
    rankings: list[Ranking] = []
    for start in range(0, len(histories), users_at_once):
        part = histories[start : start + users_at_once]
        scores = mask_scores(score(part), part, candidates=candidates, exclude_seen=exclude_seen)
        rankings += top_rankings(scores, n)
    return rankings


def largest_products(
    users_UMD: Float[np.ndarray, "users vectors width"],
    items_DI: Float[np.ndarray, "width items"],
) -> Float[np.ndarray, "users items"]:
    """Return ``max over m of u[m] . v`` for each user and item (set-out scoring of URM).

    Args:
        users_UMD: the vectors of each user.
        items_DI: the vectors of the items, as columns.
    """
    users, vectors, width = users_UMD.shape
    # One product for all vectors is faster than one each, as long as there are few users.
    products = users_UMD.reshape(users * vectors, width) @ items_DI
    scores: np.ndarray = products[::vectors]
    for vector in range(1, vectors):
        scores = np.maximum(scores, products[vector::vectors])
    return scores
