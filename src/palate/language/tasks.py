"""Tasks: each turns what a user did into something to ask and the items that answer it.

A task never touches tensors or tokens. It returns an :class:`Example`;
:mod:`palate.language.batch` lays examples out. Adding a task is one class here and one family in
``prompts.toml``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from palate.language.queries import QueryPool
from palate.types import History

Slots = Mapping[str, str]
"""Values for the {slots} of a wording."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence to learn from: words, then events, read by predictions at several cut points."""

    history: History
    prefix_lengths: Int[np.ndarray, " predictions"]
    """How many events each prediction sees."""
    targets: Int[np.ndarray, "predictions targets"]
    """Rows of the items that answer each prediction, padded with -1."""
    context: str = ""
    """Words of this example alone (a query, a category), read before the events."""
    query: int | None = None
    """Number of the query in the pool, whose text vector is read after the context."""
    without_id: bool = False
    """Show every item as if it were new: by its content alone."""
    candidates: Int[np.ndarray, "predictions candidates"] | None = None
    """Rows of the items asked about at each prediction, padded with -1: read after the events."""
    target_texts: Sequence[str] = ()
    """Words that answer each prediction; none where items answer. At inference they are empty."""
    hidden: Int[np.ndarray, " events"] | None = None
    """Number of the blank that hides each event, -1 where it is shown; the events of a blank stand
    side by side. Their words are the answer."""
    gap: int | None = None
    """How many characters of the context stand before a blank in it."""

    def with_one_prefix(self, rng: np.random.Generator) -> "Example":
        """Return the example as one of its cut points sees it: what comes later is left out."""
        cut = int(self.prefix_lengths[rng.integers(len(self.prefix_lengths))])
        same = np.flatnonzero(self.prefix_lengths == cut)
        return replace(
            self,
            history=self.history.take(slice(0, cut)),
            prefix_lengths=self.prefix_lengths[same],
            targets=self.targets[same],
            candidates=None if self.candidates is None else self.candidates[same],
            target_texts=[self.target_texts[prediction] for prediction in same.tolist()]
            if self.target_texts
            else (),
        )


@runtime_checkable
class Task(Protocol):
    """A way to ask for items."""

    @property
    def name(self) -> str:
        """The family of prompts it is worded by."""
        ...

    @property
    def max_history(self) -> int:
        """How many events of a user it reads at most."""
        ...

    def slots(self, rng: np.random.Generator) -> Slots:
        """Choose the values of the wording's slots, shared by a batch."""
        ...

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Return an example made from one user's training events; None where they offer none."""
        ...


@dataclass(frozen=True)
class NextItem:
    """What comes next, asked after every event of a window of the history."""

    max_history: int
    name: str = "next-item"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Every event but the first is a target, seen from all the events before it."""
        window = random_window(history, self.max_history + 1, rng)
        if len(window) < 2:
            return None
        return Example(
            history=window.take(slice(0, len(window) - 1)),
            prefix_lengths=np.arange(1, len(window)),
            targets=window.item_rows[1:, None],
        )


@dataclass(frozen=True)
class NextFromTitles(NextItem):
    """What comes next after items that are told by their titles alone (LC-Rec)."""


@dataclass(frozen=True)
class Objective:
    """The next item with a given event (a purchase, a like), whatever happens in between."""

    max_history: int
    event_types: Sequence[str]
    event_chances: Sequence[float]
    name: str = "objective"

    def slots(self, rng: np.random.Generator) -> Slots:
        """Choose the event."""
        return {"event": self.event_types[rng.choice(len(self.event_types), p=self.event_chances)]}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """After every event the target is the first later one of the chosen type."""
        window = random_window(history, self.max_history + 1, rng)
        if window.event_types is None:
            return None
        return _next_where(window, window.event_types == self.event_types.index(slots["event"]))


@dataclass(frozen=True)
class Scenario:
    """The next item in a given scenario (home page, e-mail, search page)."""

    max_history: int
    scenarios: Sequence[str]
    name: str = "scenario"

    def slots(self, rng: np.random.Generator) -> Slots:
        """Choose the scenario."""
        return {"scenario": self.scenarios[int(rng.integers(len(self.scenarios)))]}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """After every event the target is the first later one in the chosen scenario."""
        window = random_window(history, self.max_history + 1, rng)
        if window.scenarios is None:
            return None
        return _next_where(window, window.scenarios == self.scenarios.index(slots["scenario"]))


@dataclass(frozen=True)
class Category:
    """The next item of a category that is given in words."""

    max_history: int
    item_categories: Sequence[Sequence[str]]
    name: str = "category"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots: the category differs from example to example, so it stands in the context."""
        return {}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Choose a category of a later item; every target is the next item that has it."""
        window = random_window(history, self.max_history + 1, rng)
        if len(window) < 2:
            return None
        chosen = self.item_categories[window.item_rows[rng.integers(1, len(window))]]
        if not chosen:
            return None
        category = chosen[int(rng.integers(len(chosen)))]
        has_it = np.asarray([category in self.item_categories[row] for row in window.item_rows])
        return _next_where(window, has_it, context=category)


@dataclass(frozen=True)
class Search:
    """Words in, items out; half of the queries come with the history of the user who asks."""

    max_history: int
    pool: QueryPool
    name: str = "search"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots: the query stands in the context."""
        return {}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Ask for a later item by words made from it, or for any item at all with no history."""
        if len(history) and rng.random() < 0.5:
            place = int(rng.integers(len(history)))
            target = int(history.item_rows[place])
            before = history.take(slice(max(0, place - self.max_history), place))
        else:
            target = int(rng.integers(self.pool.num_items))
            before = history.take(slice(0, 0))
        query = self.pool.choose(target, rng)
        if query is None:
            return None
        return Example(
            history=before,
            prefix_lengths=np.asarray([len(before)]),
            targets=np.asarray([[target]]),
            context=self.pool.texts[query],
            query=query,
        )


@dataclass(frozen=True)
class Direct:
    """What fits the user, order aside: the history is shown as a set, any later item is right."""

    max_history: int
    num_targets: int = 4
    name: str = "direct"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Cut the window anywhere, shuffle what is before, ask for items from what is after."""
        window = random_window(history, self.max_history + self.num_targets, rng)
        if len(window) < 2:
            return None
        cut = int(rng.integers(1, len(window)))
        later = window.item_rows[cut:]
        targets = np.full((1, self.num_targets), -1)
        chosen = rng.permutation(later)[: self.num_targets]
        targets[0, : len(chosen)] = chosen
        before = window.take(rng.permutation(cut)[-self.max_history :])
        return Example(history=before, prefix_lengths=np.asarray([len(before)]), targets=targets)


@dataclass(frozen=True)
class ColdStart:
    """Users with no, one or two events; half of the time items are shown without their IDs."""

    name: str = "cold-start"
    max_history: int = field(default=2, init=False)

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Start anywhere in the history and predict the first events from there."""
        window = random_window(history, self.max_history + 1, rng)
        if len(window) == 0:
            return None
        return Example(
            history=window.take(slice(0, len(window) - 1)),
            prefix_lengths=np.arange(len(window)),
            targets=window.item_rows[:, None],
            without_id=bool(rng.random() < 0.5),
        )


def random_window(history: History, length: int, rng: np.random.Generator) -> History:
    """Return ``length`` consecutive events from a random place; all where there are no more."""
    if len(history) <= length:
        return history
    start = int(rng.integers(len(history) - length + 1))
    return history.take(slice(start, start + length))


def _next_where(window: History, wanted: "np.ndarray", *, context: str = "") -> Example | None:
    """After each event, ask for the first later event that is ``wanted``."""
    places = np.flatnonzero(wanted)
    places = places[places > 0]
    if len(places) == 0:
        return None
    prefix_lengths = np.arange(1, places[-1] + 1)
    following = places[np.searchsorted(places, prefix_lengths)]
    return Example(
        history=window.take(slice(0, int(places[-1]))),
        prefix_lengths=prefix_lengths,
        targets=window.item_rows[following][:, None],
        context=context,
    )
