"""Ranking: from user states to lists by scoring, masking, exact top n and diversification.

Shape suffixes: B requests, I items, P items of a pool, D width, N places.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from palate.inference.catalogue_state import CatalogueState
from palate.inference.code_search import scores_with_codes, with_codes
from palate.inference.item_view import ItemView
from palate.inference.request import Request
from palate.inference.user_state import UserState
from palate.ranking import largest_products, top_rows
from palate.types import Ranking

_SCORES_AT_ONCE = 8_000_000
"""Maximum number of scores in memory: 32 MB."""


def rank(
    state: CatalogueState, requests: Sequence[Request], users: Sequence[UserState]
) -> list[Ranking]:
    """Return the list of each request; requests over the whole catalogue are scored together."""
    lists: list[Ranking | None] = [None] * len(requests)
    whole = []
    for place, (request, user) in enumerate(zip(requests, users, strict=True)):
        if request.candidates is None:
            whole.append(place)
        else:
            lists[place] = _rank_candidates(state, request, user)
    most = max((len(one.vectors) for one in users if one.vectors is not None), default=1)
    step = max(1, _SCORES_AT_ONCE // (max(len(state), 1) * most))
    for start in range(0, len(whole), step):
        places = whole[start : start + step]
        found = _rank_all(state, [requests[p] for p in places], [users[p] for p in places])
        for place, ranking in zip(places, found, strict=True):
            lists[place] = ranking
    return [ranking for ranking in lists if ranking is not None]


def scores_of(
    state: CatalogueState, user: UserState, rows: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Return the scores of a few rows only."""
    scores = np.zeros(len(rows), dtype=np.float32)
    if user.vectors is not None and len(rows):
        scores = (user.vectors @ state.outputs_DI[:, rows]).max(axis=0)
    if user.extra is not None:
        trained = rows < len(user.extra)
        scores[trained] += user.extra[rows[trained]]
    return scores_with_codes(scores, rows.tolist(), user)


def nearest(state: CatalogueState, item_row: int, n: int) -> Ranking:
    """Return the ``n`` items with the highest cosine similarity of output vectors to one item."""
    outputs = state.outputs_DI
    lengths = np.maximum(np.linalg.norm(outputs, axis=0), 1e-9)
    scores = (outputs[:, item_row] @ outputs / (lengths * lengths[item_row]))[None]
    scores[0, state.hidden_rows] = -np.inf
    scores[0, item_row] = -np.inf
    rows, values = best_rows(scores, n)
    there = values[0] > -np.inf
    return Ranking(rows[0, there], values[0, there])


def best_rows(
    scores_BI: Float[np.ndarray, "requests items"],
    n: int,
) -> tuple[Int[np.ndarray, "requests n"], Float[np.ndarray, "requests n"]]:
    """Return the same as :func:`palate.ranking.top_rows`, faster for few users.

    It partitions first, ignoring ties; rows with ties across the n-th place are then sorted again
    exactly.
    """
    num_items = scores_BI.shape[1]
    if n >= num_items or not len(scores_BI):
        return top_rows(scores_BI, n)
    line = np.arange(len(scores_BI))[:, None]
    rows = np.argpartition(scores_BI, num_items - n, axis=1)[:, num_items - n :]
    # After the partition the first of these is the n-th best score.
    reached = np.count_nonzero(scores_BI >= scores_BI[line, rows[:, :1]], axis=1)
    # A stable sort keeps ties in row order.
    rows.sort(axis=1)
    values = scores_BI[line, rows]
    order = np.argsort(-values, axis=1, kind="stable")
    rows, values = rows[line, order], values[line, order]
    tied = np.flatnonzero(reached != n)
    if len(tied):
        rows[tied], values[tied] = top_rows(scores_BI[tied], n)
    return rows, values


def diversified(
    scores_P: Float[np.ndarray, " pool"],
    vectors_PD: Float[np.ndarray, "pool width"],
    n: int,
    diversity: float,
) -> Int[np.ndarray, " n"]:
    """Return the positions of ``n`` items, chosen greedily by score and novelty.

    Maximal marginal relevance (Carbonell & Goldstein 1998): after the items S the next one is
    ``argmax_i (1 - d) r_i - d max_{j in S} cos(v_i, v_j)``, where ``d`` is the ``diversity`` from 0
    (by score alone) to 1 (as unlike as possible) and ``r_i`` is the score scaled to 0..1 within the
    pool, so that ``d`` means the same for every model. The first is the item of the best score.
    """
    spread = float(scores_P.max() - scores_P.min()) or 1.0
    relevance = (1 - diversity) * (scores_P - scores_P.min()) / spread
    lengths = np.linalg.norm(vectors_PD, axis=1, keepdims=True)
    unit = vectors_PD / np.maximum(lengths, 1e-9)
    similarity = np.full(len(scores_P), -np.inf, dtype=np.float32)
    chosen = [int(scores_P.argmax())]
    while len(chosen) < min(n, len(scores_P)):
        similarity = np.maximum(similarity, unit @ unit[chosen[-1]])
        marginal = relevance - diversity * similarity
        marginal[chosen] = -np.inf
        chosen.append(int(marginal.argmax()))
    return np.asarray(chosen)


def _rank_all(
    state: CatalogueState, requests: Sequence[Request], users: Sequence[UserState]
) -> list[Ranking]:
    scores_BI = scores_of_all(state, users)
    _hide(state, scores_BI, requests)
    for scores, request, user in zip(scores_BI, requests, users, strict=True):
        if user.codes is not None:
            scores[:] = with_codes(scores, user, request.pool)
    # One partition of the whole matrix serves all requests; each then takes its own pool.
    rows_BN, scores_BN = best_rows(scores_BI, max(request.pool for request in requests))
    return [
        finished(state, request, Ranking(rows[: request.pool], scores[: request.pool]))
        for request, rows, scores in zip(requests, rows_BN, scores_BN, strict=True)
    ]


def _rank_candidates(state: CatalogueState, request: Request, user: UserState) -> Ranking:
    assert request.candidates is not None
    rows = np.unique(request.candidates)
    rows = rows[state.allowed(request.filter)[rows]]
    left_out = request.left_out
    if len(left_out):
        rows = rows[~np.isin(rows, left_out)]
    scores = scores_of(state, user, rows)
    order = np.argsort(-scores, kind="stable")[: request.pool]
    return finished(state, request, Ranking(rows[order], scores[order]))


def scores_of_all(
    state: CatalogueState, users: Sequence[UserState]
) -> Float[np.ndarray, "requests items"]:
    """Return the score of every item for each user: largest product plus ``extra``."""
    vectors = [user.vectors for user in users if user.vectors is not None]
    if len(vectors) == len(users):
        scores_BI = largest_products(np.stack(vectors), state.outputs_DI)
    else:
        scores_BI = np.zeros((len(users), len(state)), dtype=np.float32)
        if vectors:
            places = [place for place, one in enumerate(users) if one.vectors is not None]
            scores_BI[places] = largest_products(np.stack(vectors), state.outputs_DI)
    for scores, user in zip(scores_BI, users, strict=True):
        if user.extra is not None:
            scores[: len(user.extra)] += user.extra
    return scores_BI


def _hide(
    state: CatalogueState,
    scores_BI: Float[np.ndarray, "requests items"],
    requests: Sequence[Request],
) -> None:
    """Set the scores of excluded items to -inf, in place."""
    if all(request.filter is None for request in requests):
        if len(state.hidden_rows):
            scores_BI[:, state.hidden_rows] = -np.inf
    else:
        for scores, request in zip(scores_BI, requests, strict=True):
            scores[~state.allowed(request.filter)] = -np.inf
    left_out = [request.left_out for request in requests]
    if len(left_out) == 1:
        scores_BI[0, left_out[0]] = -np.inf
        return
    places = np.repeat(np.arange(len(left_out)), [len(rows) for rows in left_out])
    scores_BI[places, np.concatenate(left_out)] = -np.inf


def finished(state: CatalogueState, request: Request, pool: Ranking) -> Ranking:
    """Drop items with score -inf, and diversify the pool if requested."""
    if len(pool) and pool.scores[-1] == -np.inf:
        there = pool.scores > -np.inf
        pool = Ranking(pool.item_rows[there], pool.scores[there])
    if request.diversity <= 0 or not len(pool):
        return pool
    vectors = (
        _label_vectors([state.views[row] for row in pool.item_rows.tolist()])
        if state.vectors is None
        else state.outputs_DI[:, pool.item_rows].T
    )
    chosen = diversified(pool.scores, vectors, request.n, request.diversity)
    return Ranking(pool.item_rows[chosen], pool.scores[chosen])


def _label_vectors(views: Sequence[ItemView]) -> Float[np.ndarray, "items labels"]:
    """Return one-hot brand and category vectors, by which baselines compare items."""
    labels = [
        [("brand", view.brand), *(("category", c) for c in view.categories)] for view in views
    ]
    numbered: dict[tuple[str, str | None], int] = {}
    for label in (label for found in labels for label in found):
        numbered.setdefault(label, len(numbered))
    vectors = np.zeros((len(views), len(numbered)), dtype=np.float32)
    for row, found in enumerate(labels):
        vectors[row, [numbered[label] for label in found if label[1] is not None]] = 1.0
    return vectors
