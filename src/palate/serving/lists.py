"""From readings to the lists that are shown: scored, masked, exact, and diverse where asked.

Shape suffixes: B questions, I items, P items of a pool, D width, N places.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from palate.ranking import top_rows
from palate.serving.catalogue import CatalogueState
from palate.serving.questions import Question
from palate.serving.readings import Reading
from palate.serving.searches import scores_with_spelled, with_spelled
from palate.serving.views import ItemView
from palate.types import Ranking

_SCORES_AT_ONCE = 8_000_000
"""Scores in memory at a time: 32 MB."""
_NO_ROWS = np.zeros(0, dtype=np.int64)


def rank(
    state: CatalogueState, questions: Sequence[Question], readings: Sequence[Reading]
) -> list[Ranking]:
    """Return the list of each question, scored together where the whole catalogue is looked at."""
    lists: list[Ranking | None] = [None] * len(questions)
    whole = []
    for place, (question, reading) in enumerate(zip(questions, readings, strict=True)):
        if question.candidates is None:
            whole.append(place)
        else:
            lists[place] = _rank_candidates(state, question, reading)
    most = max((len(r.vectors) for r in readings if r.vectors is not None), default=1)
    step = max(1, _SCORES_AT_ONCE // (max(len(state), 1) * most))
    for start in range(0, len(whole), step):
        places = whole[start : start + step]
        found = _rank_all(state, [questions[p] for p in places], [readings[p] for p in places])
        for place, ranking in zip(places, found, strict=True):
            lists[place] = ranking
    return [ranking for ranking in lists if ranking is not None]


def scores_of(
    state: CatalogueState, reading: Reading, rows: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Return the scores of a few rows without looking at the whole catalogue."""
    scores = np.zeros(len(rows), dtype=np.float32)
    if reading.vectors is not None and len(rows):
        scores = (reading.vectors @ state.outputs_DI[:, rows]).max(axis=0)
    if reading.extra is not None:
        trained = rows < len(reading.extra)
        scores[trained] += reading.extra[rows[trained]]
    return scores_with_spelled(scores, rows, reading)


def best_rows(
    scores_BI: Float[np.ndarray, "questions items"],  # noqa: N803 - shape suffix
    n: int,
) -> tuple[Int[np.ndarray, "questions n"], Float[np.ndarray, "questions n"]]:
    """Return what :func:`palate.ranking.top_rows` returns, in less time where users are few.

    A selection that does not look at ties; whoever has equals on both sides of the n-th place is
    then done over with care.
    """
    num_items = scores_BI.shape[1]
    if n >= num_items or not len(scores_BI):
        return top_rows(scores_BI, n)
    line = np.arange(len(scores_BI))[:, None]
    rows = np.argpartition(scores_BI, num_items - n, axis=1)[:, num_items - n :]
    # The first of them is the n-th best.
    reached = np.count_nonzero(scores_BI >= scores_BI[line, rows[:, :1]], axis=1)
    # Equals stay in the order of their rows.
    rows.sort(axis=1)
    values = scores_BI[line, rows]
    order = np.argsort(-values, axis=1, kind="stable")
    rows, values = rows[line, order], values[line, order]
    tied = np.flatnonzero(reached != n)
    if len(tied):
        rows[tied], values[tied] = top_rows(scores_BI[tied], n)
    return rows, values


def diversified(
    scores_P: Float[np.ndarray, " pool"],  # noqa: N803 - shape suffix
    vectors_PD: Float[np.ndarray, "pool width"],  # noqa: N803
    n: int,
    diversity: float,
) -> Int[np.ndarray, " n"]:
    """Return the places of ``n`` items, chosen one by one for their score and their novelty.

    Maximal marginal relevance (Carbonell & Goldstein 1998): after the items S the next one is
    ``argmax_i (1 - d) r_i - d max_{j in S} cos(v_i, v_j)``, where ``d`` is the ``diversity`` from 0
    (by score alone) to 1 (as unlike as possible) and ``r_i`` is the score scaled to 0..1 within the
    pool, so that ``d`` means the same for every model. The first is the item of the best score.
    """
    spread = float(scores_P.max() - scores_P.min()) or 1.0
    relevance = (1 - diversity) * (scores_P - scores_P.min()) / spread
    lengths = np.linalg.norm(vectors_PD, axis=1, keepdims=True)
    unit = vectors_PD / np.maximum(lengths, 1e-9)
    likeness = np.full(len(scores_P), -np.inf, dtype=np.float32)
    chosen = [int(scores_P.argmax())]
    while len(chosen) < min(n, len(scores_P)):
        likeness = np.maximum(likeness, unit @ unit[chosen[-1]])
        marginal = relevance - diversity * likeness
        marginal[chosen] = -np.inf
        chosen.append(int(marginal.argmax()))
    return np.asarray(chosen)


def _rank_all(
    state: CatalogueState, questions: Sequence[Question], readings: Sequence[Reading]
) -> list[Ranking]:
    scores_BI = _scores(state, readings)
    _hide(state, scores_BI, questions)
    for scores, question, reading in zip(scores_BI, questions, readings, strict=True):
        if reading.spelled is not None:
            scores[:] = with_spelled(scores, reading, question.pool)
    rows_BN, scores_BN = best_rows(scores_BI, max(question.pool for question in questions))
    return [
        _finished(state, question, Ranking(rows[: question.pool], scores[: question.pool]))
        for question, rows, scores in zip(questions, rows_BN, scores_BN, strict=True)
    ]


def _rank_candidates(state: CatalogueState, question: Question, reading: Reading) -> Ranking:
    assert question.candidates is not None
    rows = np.unique(question.candidates)
    rows = rows[state.allowed(question.filter)[rows]]
    if question.exclude_seen:
        rows = rows[~np.isin(rows, question.history.item_rows)]
    scores = scores_of(state, reading, rows)
    order = np.argsort(-scores, kind="stable")[: question.pool]
    return _finished(state, question, Ranking(rows[order], scores[order]))


def _scores(
    state: CatalogueState, readings: Sequence[Reading]
) -> Float[np.ndarray, "questions items"]:
    """Return the score of every item for each reading: the largest product, and what is added."""
    vectors = [reading.vectors for reading in readings if reading.vectors is not None]
    if len(vectors) == len(readings):
        scores_BI = _largest_products(state, vectors)
    else:
        scores_BI = np.zeros((len(readings), len(state)), dtype=np.float32)
        if vectors:
            places = [place for place, r in enumerate(readings) if r.vectors is not None]
            scores_BI[places] = _largest_products(state, vectors)
    for scores, reading in zip(scores_BI, readings, strict=True):
        if reading.extra is not None:
            scores[: len(reading.extra)] += reading.extra
    return scores_BI


def _largest_products(
    state: CatalogueState, vectors: Sequence[Float[np.ndarray, "queries width"]]
) -> Float[np.ndarray, "questions items"]:
    num_vectors = len(vectors[0])
    products = np.concatenate(vectors) @ state.outputs_DI
    scores_BI: np.ndarray = products[::num_vectors]
    for vector in range(1, num_vectors):
        scores_BI = np.maximum(scores_BI, products[vector::num_vectors])
    return scores_BI


def _hide(
    state: CatalogueState,
    scores_BI: Float[np.ndarray, "questions items"],  # noqa: N803 - shape suffix
    questions: Sequence[Question],
) -> None:
    """Put -inf, in place, wherever an item may not be answered."""
    if all(question.filter is None for question in questions):
        if len(state.hidden_rows):
            scores_BI[:, state.hidden_rows] = -np.inf
    else:
        for scores, question in zip(scores_BI, questions, strict=True):
            scores[~state.allowed(question.filter)] = -np.inf
    seen = [q.history.item_rows if q.exclude_seen else _NO_ROWS for q in questions]
    if len(seen) == 1:
        scores_BI[0, seen[0]] = -np.inf
        return
    places = np.repeat(np.arange(len(seen)), [len(rows) for rows in seen])
    scores_BI[places, np.concatenate(seen)] = -np.inf


def _finished(state: CatalogueState, question: Question, pool: Ranking) -> Ranking:
    """Leave out the places that nothing may fill, and choose from the pool for diversity."""
    if len(pool) and pool.scores[-1] == -np.inf:
        there = pool.scores > -np.inf
        pool = Ranking(pool.item_rows[there], pool.scores[there])
    if question.diversity <= 0 or not len(pool):
        return pool
    vectors = (
        _label_vectors([state.views[row] for row in pool.item_rows.tolist()])
        if state.vectors is None
        else state.outputs_DI[:, pool.item_rows].T
    )
    chosen = diversified(pool.scores, vectors, question.n, question.diversity)
    return Ranking(pool.item_rows[chosen], pool.scores[chosen])


def _label_vectors(views: Sequence[ItemView]) -> Float[np.ndarray, "items labels"]:
    """Return which brand and categories each item has: all a baseline can compare items by."""
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
