"""Answers found by beam search over codes or titles, alone or blended with the vector scores.

A search is restricted to the items that may be answered before a history is encoded. So its result
belongs to one request and one state of the catalogue, unlike user vectors, which fit any request.
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
    """What a beam search may find; its fields are hashable, to be the key of a cache."""

    form: Form
    filter: ItemFilter | None
    candidates: tuple[int, ...] | None
    exclude: tuple[int, ...]
    exclude_seen: bool
    most: int
    """Items to find."""

    @classmethod
    def of(cls, request: Request, form: Form, beams: int) -> "CodeSearch | None":
        """Return the search that a request needs; None where vectors alone answer it."""
        if form == "set":
            return None
        rows = request.candidates
        candidates = None if rows is None else tuple(np.unique(rows).tolist())
        # With as many beams as candidates none of them is missed.
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
    """Return the scores of a whole catalogue as a search changes them: -inf for what is left out.

    Args:
        scores: of the vectors, -inf for what may not be answered.
        state: of the user, with what the search found, if there was one.
        pool: items to choose from.
    """
    found = state.codes
    if found is None:
        return scores
    there = scores[found.item_rows] > -np.inf
    found = Ranking(found.item_rows[there], found.scores[there])
    if state.blend is not None:
        most = min(max(pool, len(found)), len(scores))
        rows = np.sort(np.argpartition(-scores, most - 1)[:most])
        found = blended(scores, Ranking(rows, scores[rows]), found, state.blend, len(scores))
    changed = np.full_like(scores, -np.inf)
    changed[found.item_rows] = found.scores
    return changed


def scores_with_codes(
    scores: Float[np.ndarray, " rows"], rows: Sequence[int], state: UserState
) -> Float[np.ndarray, " rows"]:
    """Return the scores of a few rows as a search changes them (see :func:`with_codes`)."""
    found = state.codes
    if found is None:
        return scores
    known = dict(zip(found.item_rows.tolist(), found.scores.tolist(), strict=True))
    if state.blend is None:
        return np.asarray([known.get(row, -np.inf) for row in rows], dtype=np.float32)
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
    search did not find counts as the last that it did find.
    """
    rows = np.union1d(by_vectors.item_rows, by_codes.item_rows)
    logs = np.full(len(rows), by_codes.scores.min() if len(by_codes) else 0.0, dtype=np.float32)
    logs[np.searchsorted(rows, by_codes.item_rows)] = by_codes.scores
    joined = scores[rows] + np.float32(weight) * logs
    best = np.argsort(-joined, kind="stable")[:n]
    return Ranking(rows[best], joined[best])
