"""The nouns every layer shares: a history goes in, a ranking comes out.

An item has three forms: *id* (a string, outside), *row* (an integer, inside) and *codes* (tokens, in the model).
Everything here speaks rows; :class:`palate.data.vocabulary.Vocabulary` is the one place where ids become rows and back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, slots=True)
class History:
    """What one user did so far, oldest first: the input of every recommender.

    The arrays are parallel, one entry per event. Only ``item_rows`` is always there.
    """

    item_rows: Int[np.ndarray, " events"]
    """Catalogue rows of the items, oldest first."""
    event_types: Int[np.ndarray, " events"] | None = None
    """Codes into ``Interactions.event_types`` (view, click, purchase, ...)."""
    ratings: Float[np.ndarray, " events"] | None = None
    """Ratings in the data's own scale; NaN where the user gave none."""
    timestamps: Int[np.ndarray, " events"] | None = None
    """Unix seconds; -1 where the time is unknown."""
    user_row: int | None = None
    """The user's row, or None for somebody the model never saw."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.item_rows)

    def without(self, event: int) -> "History":
        """Return this history with one event left out (used to measure *why*)."""
        keep = np.arange(len(self)) != event
        return History(
            item_rows=self.item_rows[keep],
            event_types=None if self.event_types is None else self.event_types[keep],
            ratings=None if self.ratings is None else self.ratings[keep],
            timestamps=None if self.timestamps is None else self.timestamps[keep],
            user_row=self.user_row,
        )

    def last(self, num_events: int) -> "History":
        """Return the newest ``num_events`` events."""
        start = max(0, len(self) - num_events)
        return History(
            item_rows=self.item_rows[start:],
            event_types=None if self.event_types is None else self.event_types[start:],
            ratings=None if self.ratings is None else self.ratings[start:],
            timestamps=None if self.timestamps is None else self.timestamps[start:],
            user_row=self.user_row,
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """Items for one user, best first, with the scores that ordered them."""

    item_rows: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.item_rows)


class SupportsRecommend(Protocol):
    """The one contract by which everything is judged: baselines, language models, saved folders, remote services."""

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history, fewer only where fewer are allowed.

        Args:
            histories: one per user.
            n: length of each list.
            candidates: catalogue rows to choose from; None means the whole catalogue.
            exclude_seen: leave out the items of the user's own history.
        """
        ...


@runtime_checkable
class SupportsScore(SupportsRecommend, Protocol):
    """A recommender that can also score the whole catalogue at once, which makes full-rank evaluation one pass."""

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return one score per user and catalogue row, higher is better; -inf means *never recommend*."""
        ...
