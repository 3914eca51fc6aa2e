"""History encoder: from requests to plans (which model answers), and on to user states.

A language model and a baseline plan and encode differently; all else of an answer is the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from palate.errors import NotTrainedError
from palate.inference.catalogue_state import CatalogueState
from palate.inference.code_search import CodeSearch
from palate.inference.model_folder import TrainedModel
from palate.inference.request import Request
from palate.inference.user_state import UserState
from palate.training.system import Blend
from palate.types import History

POPULAR = "popular"
"""The fallback to popular items."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request is answered: by the model, by a baseline, or by a fallback."""

    history: History
    """The events of items that the system knows."""
    left_out: Int[np.ndarray, " rows"]
    """Rows excluded from a search."""
    request: Request | None
    """The request for the model; None for a baseline or the popularity fallback."""
    fallback: str | None = None
    search: CodeSearch | None = None
    """The beam search; None where vectors alone answer."""

    @property
    def group(self) -> tuple[object, ...]:
        """Key shared by plans that one forward pass can handle together."""
        return (self.request and self.request.worded, self.search)


class KnownEvents:
    """Filters histories to the events of items that a system can read."""

    def items(
        self, state: CatalogueState, rows: Int[np.ndarray, " rows"]
    ) -> Bool[np.ndarray, " rows"]:
        """Return the mask of items that the system can read in a history."""
        known: np.ndarray = state.readable[rows]
        return known

    def check(self, state: CatalogueState, rows: Int[np.ndarray, " rows"]) -> None:
        """Refuse items that the system cannot read.

        Raises:
            NotTrainedError: naming the first of them.
        """
        known = self.items(state, rows)
        if known.all():
            return
        item_id = state.views[int(rows[~known][0])].item_id
        raise NotTrainedError(
            f"This model knows nothing of the item {item_id!r}: it was not there in training, and "
            "nothing of it can be read.",
            hint="Give it a title, brand, categories or a price; if it has them, train again with "
            "it: palate train DATASET MODEL",
        )

    def of(self, state: CatalogueState, history: History) -> History:
        """Return the events that the system can read."""
        known = self.items(state, history.item_rows)
        return history if known.all() else history.take(np.flatnonzero(known))


class HistoryEncoder(ABC):
    """Encodes histories with one trained system, which is never modified."""

    def __init__(self, trained: TrainedModel, events: KnownEvents) -> None:
        """Take a trained system.

        Args:
            trained: the system with its dataset.
            events: filters histories to what the system can read.
        """
        self.dataset, self.events = trained.dataset, events

    @abstractmethod
    def plan(self, state: CatalogueState, request: Request) -> Plan:
        """Decide how a request is answered."""

    def search(self, request: Request) -> CodeSearch | None:
        """Return the beam search for a request; None where scores alone answer it."""
        return None

    def encode(self, state: CatalogueState, plans: Sequence[Plan]) -> list[UserState]:
        """Return the user states; plans that share a wording share one forward pass."""
        return self.encode_for(state, plans, [self.blend])[0]

    @property
    def blend(self) -> Blend:
        """Weights of hybrid answers."""
        return Blend(0.0)

    def encode_for(
        self, state: CatalogueState, plans: Sequence[Plan], blends: Sequence[Blend]
    ) -> list[list[UserState]]:
        """Return the user states for each of several blends; each history is encoded once."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, plan in enumerate(plans):
            groups.setdefault(plan.group, []).append(place)
        # With weight 0 the code search has no effect and is skipped.
        weighed = any(blend.weight for blend in blends)
        found: dict[int, UserState] = {}
        for places in groups.values():
            together = [plans[place] for place in places]
            found |= zip(places, self.encode_group(state, together, weighed=weighed), strict=True)
        users = [found[place] for place in range(len(plans))]
        return [
            [self.blended(state, *pair, blend) for pair in zip(plans, users, strict=True)]
            for blend in blends
        ]

    @abstractmethod
    def encode_group(
        self, state: CatalogueState, plans: Sequence[Plan], *, weighed: bool
    ) -> list[UserState]:
        """Return the user states of plans of one group (see :attr:`Plan.group`).

        Args:
            state: the catalogue.
            plans: at least one.
            weighed: whether any blend gives the code search a weight.
        """

    def blended(
        self, state: CatalogueState, plan: Plan, user: UserState, blend: Blend
    ) -> UserState:
        """Return the state as ``blend`` mixes it; where nothing is mixed, unchanged."""
        return user
