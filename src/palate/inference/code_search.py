"""Code search: beam search over codes or titles, alone or blended with vector scores.

A search is restricted to the allowed items, so that its result belongs to one request and one
catalogue state. User vectors, in contrast, serve any request.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from palate.inference.filters import ItemFilter
from palate.inference.request import Request
from palate.inference.user_state import UserState
from palate.training.recipe import Form
from palate.types import Ranking


@dataclass(frozen=True, slots=True)
class CodeSearch:
    """Settings of a beam search; hashable, since it is part of a cache key."""

    form: Form
    filter: ItemFilter | None
    candidates: tuple[int, ...] | None
    exclude: tuple[int, ...]
    exclude_seen: bool
    most: int
    """Number of items to find."""

    @classmethod
    def of(cls, request: Request, form: Form, beams: int) -> "CodeSearch | None":
        """Return the search for a request; None where it is answered by vectors alone."""
        if form == "set":
            return None
        rows = request.candidates
        candidates = None if rows is None else tuple(np.unique(rows).tolist())
        # With as many beams as candidates the search is exhaustive.
        most = max(beams, request.pool, len(candidates or ()))
        return cls(
            form,
            request.filter,
            candidates,
            tuple(request.exclude.tolist()),
            request.exclude_seen,
            most,
        )


def with_codes(
    scores: Float[np.ndarray, " items"], state: UserState, pool: int
) -> Float[np.ndarray, " items"]:
    """Return the scores of the whole catalogue after a search; -inf for excluded items.

    Args:
        scores: vector scores, -inf for excluded items.
        state: the user state, with the result of the search, if there was one.
        pool: number of best items to keep.
    """
    found = state.codes
    if found is None:
        return scores
    there = scores[found.item_rows] > -np.inf
    found = Ranking(found.item_rows[there], found.scores[there])
    if state.blend is not None:
        # A hybrid answer ranks the union of the best by vectors and the items found by codes.
        most = min(max(pool, len(found)), len(scores))
        rows = np.sort(np.argpartition(-scores, most - 1)[:most])
        found = blended(scores, Ranking(rows, scores[rows]), found, state.blend, len(scores))
    changed = np.full_like(scores, -np.inf)
    changed[found.item_rows] = found.scores
    return changed


def scores_with_codes(
    scores: Float[np.ndarray, " rows"], rows: Sequence[int], state: UserState
) -> Float[np.ndarray, " rows"]:
    """Return the scores of a few rows after a search (see :func:`with_codes`)."""
    found = state.codes
    if found is None:
        return scores
    known = dict(zip(found.item_rows.tolist(), found.scores.tolist(), strict=True))
    if state.blend is None:
        return np.asarray([known.get(row, -np.inf) for row in rows], dtype=np.float32)
    # As in `blended`: an item that was not found counts like the last one found.
    least = min(known.values(), default=0.0)
    added = np.asarray([known.get(row, least) for row in rows], dtype=np.float32)
    return np.asarray(scores + np.float32(state.blend) * added)


def blended(
    scores: Float[np.ndarray, " items"],
    by_vectors: Ranking,
    by_codes: Ranking,
    weight: float,
    n: int,
) -> Ranking:
    """Return the best ``n`` of two lists (a hybrid answer).

    ``score(item) = scores[item] + weight · log p(codes of the item)``, where an item that the
    search did not find gets the log-probability of the last item found.
    """
    rows = np.union1d(by_vectors.item_rows, by_codes.item_rows)
    logs = np.full(len(rows), by_codes.scores.min() if len(by_codes) else 0.0, dtype=np.float32)
    logs[np.searchsorted(rows, by_codes.item_rows)] = by_codes.scores
    joined = scores[rows] + np.float32(weight) * logs
    best = np.argsort(-joined, kind="stable")[:n]
    return Ranking(rows[best], joined[best])
