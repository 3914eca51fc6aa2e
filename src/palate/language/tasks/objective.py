"""Objective: the next item with a given event type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palate.data.dataset import Dataset
from palate.language.tasks.asking import next_where, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "recommend items for the objective {event}",
        "which item is the next {event}",
        "predict the next item with event {event}",
        "the goal is {event} : recommend an item",
        "optimise for {event}",
        "suggest something the user would {event}",
    ),
    unseen=(
        "what leads to a {event}",
        "choose items so that the user will {event}",
    ),
)


@dataclass(frozen=True)
class Objective(Task):
    """Predict the next item with a given event type (a purchase, a like)."""

    name = "objective"
    description = "The next item with a given event, such as a purchase."
    answered_with = "items"
    wordings = _WORDINGS
    slot_names = frozenset({"event"})
    needs_history = True

    max_history: int
    event_types: Sequence[str]
    event_chances: Sequence[float]

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Objective | None":
        """Needs several types of events; drawn in proportion to the square root of their counts."""
        events = material.dataset.interactions
        if len(events.event_types) < 2:
            return None
        counts = np.bincount(events.event_codes, minlength=len(events.event_types)) ** 0.5
        return cls(settings.max_history, events.event_types, tuple(counts / counts.sum()))

    @classmethod
    def slot_choices(cls, dataset: Dataset) -> Mapping[str, Sequence[str]]:
        """The types of events."""
        return {"event": dataset.interactions.event_types}

    def slots(self, rng: np.random.Generator) -> Slots:
        """Choose the event."""
        return {"event": self.event_types[rng.choice(len(self.event_types), p=self.event_chances)]}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """After every event the target is the first later one of the chosen type."""
        window = random_window(history, self.max_history + 1, rng)
        if window.event_types is None:
            return None
        return next_where(window, window.event_types == self.event_types.index(slots["event"]))
