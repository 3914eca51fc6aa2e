"""Encoding of histories by a baseline: its scores of the catalogue are the user state."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float

from palate.inference.catalogue_state import CatalogueState
from palate.inference.history_encoder import POPULAR, HistoryEncoder, KnownEvents, Plan
from palate.inference.model_folder import TrainedModel
from palate.inference.request import NOBODY, Request
from palate.inference.user_state import UserState
from palate.models.baselines import Baseline
from palate.types import History


class BaselineEncoder(HistoryEncoder):
    """Encodes histories with a baseline."""

    def __init__(self, trained: TrainedModel, baseline: Baseline) -> None:
        """Take a trained baseline and its dataset."""
        super().__init__(trained, KnownEvents())
        self._baseline = baseline

    def plan(self, state: CatalogueState, request: Request) -> Plan:
        """Plan to score the known events; a baseline has no other way to answer."""
        return Plan(self.events.of(state, request.history), request.left_out, None)

    def encode_group(
        self, state: CatalogueState, plans: Sequence[Plan], *, weighed: bool
    ) -> list[UserState]:
        """Return the scores of the catalogue for each history."""
        scores = self._baseline.score([self._fitted(plan.history) for plan in plans])
        return [
            UserState(None, own.astype(np.float32, copy=False), POPULAR if nothing_known else None)
            for own, nothing_known in zip(scores, self._know_nothing(plans, scores), strict=True)
        ]

    def _know_nothing(
        self, plans: Sequence[Plan], scores: Float[np.ndarray, "plans trained"]
    ) -> list[bool]:
        """Return where a baseline knows nothing of a user: no event changes its scores.

        The popularity baseline gives everybody the same scores; for a user with a history that is
        its regular answer, not a fallback.
        """
        if self._baseline.is_personal:
            alike = (scores == self._of_nobody).all(axis=1)
            return [bool(one) for one in alike]
        return [not len(plan.history) for plan in plans]

    def _fitted(self, history: History) -> History:
        """Return the events whose items were in the baseline's training catalogue."""
        known = history.item_rows < len(self.dataset.catalog)
        return history if known.all() else history.take(np.flatnonzero(known))

    @cached_property
    def _of_nobody(self) -> Float[np.ndarray, " trained"]:
        scores: Float[np.ndarray, " trained"] = self._baseline.score([NOBODY])[0]
        return scores
