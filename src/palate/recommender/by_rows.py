"""A recommender with histories as input and catalogue rows as output, as an evaluation asks it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from palate.data.dataset import Dataset
from palate.inference.engine import Engine
from palate.inference.request import Request
from palate.types import History, Ranking


@dataclass(frozen=True)
class ByRows:
    """A recommender by catalogue rows (:class:`palate.types.SupportsRecommend`)."""

    engine: Engine
    request: Request
    """Settings of every request, without the history."""
    dataset: Dataset
    """The data it learned from, by which an evaluation knows what it has seen."""

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history."""
        request = replace(self.request, n=n, candidates=candidates, exclude_seen=exclude_seen)
        requests = [replace(request, history=history) for history in histories]
        answers = self.engine.answer(requests)
        return [Ranking(answer.rows, answer.scores) for answer in answers]


class ScoresByRows(ByRows):
    """The same where one pass scores the whole catalogue (:class:`SupportsScore`)."""

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return one score per user and catalogue row, higher is better."""
        return self.engine.scores([replace(self.request, history=one) for one in histories])
