"""Answers in codes: what a search may find is settled before a history is read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from palate.inference.hybrid import blended
from palate.serving.filters import ItemFilter
from palate.serving.questions import Question
from palate.serving.readings import Reading
from palate.training.recipe import Form
from palate.types import Ranking


@dataclass(frozen=True, slots=True)
class Search:
    """What a search for codes keeps to; what it finds answers no other question."""

    form: Form
    filter: ItemFilter | None
    candidates: tuple[int, ...] | None
    exclude_seen: bool
    most: int
    """Items to find."""

    @classmethod
    def of(cls, question: Question, form: Form, beams: int) -> "Search | None":
        """Return the search that a question needs; None where it is answered as a set."""
        if form == "set":
            return None
        rows = question.candidates
        candidates = None if rows is None else tuple(np.unique(rows).tolist())
        # As many beams as candidates: then none of them is missed.
        most = max(beams, question.pool, len(candidates or ()))
        return cls(form, question.filter, candidates, question.exclude_seen, most)


def with_spelled(
    scores: Float[np.ndarray, " items"], reading: Reading, pool: int
) -> Float[np.ndarray, " items"]:
    """Return the scores of a whole catalogue as a search changes them: -inf for what is left out.

    Args:
        scores: of the vectors, -inf for what may not be answered.
        reading: what was searched for, or not.
        pool: items to choose from.
    """
    found = reading.spelled
    if found is None:
        return scores
    there = scores[found.item_rows] > -np.inf
    spelled = Ranking(found.item_rows[there], found.scores[there])
    if reading.blend is not None:
        most = min(max(pool, len(found)), len(scores))
        rows = np.sort(np.argpartition(-scores, most - 1)[:most])
        retrieved = Ranking(rows, scores[rows])
        spelled = blended(scores, retrieved, spelled, reading.blend, len(scores))
    changed = np.full_like(scores, -np.inf)
    changed[spelled.item_rows] = spelled.scores
    return changed


def scores_with_spelled(
    scores: Float[np.ndarray, " rows"], rows: Int[np.ndarray, " rows"], reading: Reading
) -> Float[np.ndarray, " rows"]:
    """Return the scores of a few rows as a search changes them (see :func:`with_spelled`)."""
    found = reading.spelled
    if found is None:
        return scores
    said = dict(zip(found.item_rows.tolist(), found.scores.tolist(), strict=True))
    if reading.blend is None:
        return np.asarray([said.get(row, -np.inf) for row in rows.tolist()], dtype=np.float32)
    least = min(said.values(), default=0.0)
    added = np.asarray([said.get(row, least) for row in rows.tolist()], dtype=np.float32)
    return np.asarray(scores + np.float32(reading.blend) * added)
