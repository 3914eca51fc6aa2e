"""Next item."""

from dataclasses import dataclass

import numpy as np

from palate.language.tasks.asking import random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "recommend the next item for this user",
        "what will the user choose next",
        "given the history, predict the next item",
        "continue this sequence of items",
        "which item comes next",
        "suggest what to look at next",
    ),
    unseen=(
        "guess the item that follows",
        "what should come next for this person",
    ),
)


@dataclass(frozen=True)
class NextItem(Task):
    """Predict the next item after every event of a window of the history."""

    name = "next-item"
    description = "What comes next."
    answered_with = "items"
    reads_dates = True
    wordings = _WORDINGS
    needs_history = True

    max_history: int

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "NextItem | None":
        """Any history has a next item."""
        return cls(settings.max_history)

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
