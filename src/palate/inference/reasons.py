"""Reasons: the events whose removal lowers the score of an item most."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from palate.inference.catalogue_state import CatalogueState
from palate.inference.history_encoder import POPULAR, HistoryEncoder
from palate.inference.ranking import scores_of
from palate.inference.request import Reason, Request

_MOST_REASONS = 50
"""Number of newest events that are considered as reasons."""


def reasons(
    histories: HistoryEncoder,
    state: CatalogueState,
    request: Request,
    rows: Int[np.ndarray, " rows"],
    n: int,
) -> list[list[Reason]]:
    """Return, for each row, the ``n`` most important events of the request's history.

    The items are scored again without each of the newest events, in one pass. A fallback to popular
    items has no reasons.
    """
    history = request.history
    nothing: list[list[Reason]] = [[] for _ in rows]
    # A beam search must cover every one of the items.
    request = replace(request, candidates=rows, exclude=rows[:0], exclude_seen=False)
    recent = range(max(0, len(history) - _MOST_REASONS), len(history))
    whole = histories.plan(state, request)
    if not len(recent) or whole.fallback == POPULAR:
        return nothing
    # All variants keep the plan of the full history, even if no event remains.
    shortened = [histories.events.of(state, history.without(event)) for event in recent]
    plans = [whole, *(replace(whole, history=shorter) for shorter in shortened)]
    users = histories.encode(state, plans)
    if users[0].fallback == POPULAR:
        return nothing
    scores = np.stack([scores_of(state, user, rows) for user in users])
    # An excluded item (score -inf) has no reasons.
    scores = np.where(np.isneginf(scores[0]), 0.0, scores)
    falls = scores[0] - scores[1:]
    best = np.argsort(-falls, axis=0, kind="stable")[:n]
    return [
        [Reason(recent[int(e)], float(falls[e, i])) for e in best[:, i] if falls[e, i] > 0]
        for i in range(len(rows))
    ]
