"""The nouns every layer shares: a history goes in, a ranking comes out.

An item has three forms: *id* (a string, outside), *row* (an integer, inside) and *codes* (tokens,
in the model). Everything here speaks rows; :class:`palate.data.vocabulary.Vocabulary` is the one
place where ids become rows and back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    scenarios: Int[np.ndarray, " events"] | None = None
    """Codes into ``Interactions.scenarios`` (home, search, email, ...); -1 where none was given."""
    places: Int[np.ndarray, " events"] | None = None
    """Where each event stands in the dataset, where more is known of it (a review)."""
    user_row: int | None = None
    """The user's row, or None for somebody the model never saw."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.item_rows)

    def take(self, events: slice | Int[np.ndarray, " chosen"]) -> "History":
        """Return the chosen events as a history of the same user."""
        return replace(
            self,
            item_rows=self.item_rows[events],
            event_types=None if self.event_types is None else self.event_types[events],
            ratings=None if self.ratings is None else self.ratings[events],
            timestamps=None if self.timestamps is None else self.timestamps[events],
            scenarios=None if self.scenarios is None else self.scenarios[events],
            places=None if self.places is None else self.places[events],
        )

    def without(self, event: int) -> "History":
        """Return this history with one event left out (used to measure *why*)."""
        return self.take(np.delete(np.arange(len(self)), event))

    def extended(self, later: "History") -> "History":
        """Return this history, then ``later``; only what both know of their events is kept."""

        def joined(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
            return None if first is None or second is None else np.concatenate([first, second])

        return History(
            item_rows=np.concatenate([self.item_rows, later.item_rows]),
            event_types=joined(self.event_types, later.event_types),
            ratings=joined(self.ratings, later.ratings),
            timestamps=joined(self.timestamps, later.timestamps),
            scenarios=joined(self.scenarios, later.scenarios),
            places=joined(self.places, later.places),
            user_row=self.user_row,
        )

    def last(self, num_events: int) -> "History":
        """Return the newest ``num_events`` events."""
        return self.take(slice(max(0, len(self) - num_events), None))


@dataclass(frozen=True, slots=True)
class Ranking:
    """Items for one user, best first, with the scores that ordered them."""

    item_rows: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.item_rows)


@runtime_checkable
class SupportsRecommend(Protocol):
    """The one contract by which all are judged: baselines, models, folders, remote services."""

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
    """A recommender that scores the whole catalogue at once: full-rank evaluation is one pass."""

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return a score per user and catalogue row, higher is better; -inf means *never*."""
        ...
