"""Direct recommendation: what fits the user, regardless of order."""

from dataclasses import dataclass

import numpy as np

from palate.language.tasks.asking import random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "recommend items for this user",
        "what would this user like",
        "items to suggest to this user, in any order",
        "pick items that match the taste of the user",
        "which items fit this user",
        "make a list of items for this user",
    ),
    unseen=(
        "choose things this person would enjoy",
        "a selection for this user",
    ),
)


@dataclass(frozen=True)
class Direct(Task):
    """Recommend from the history as a set; every later item is a target."""

    name = "direct"
    description = "Items that fit a user, in any order."
    answered_with = "items"
    wordings = _WORDINGS
    needs_history = True

    max_history: int
    num_targets: int = 4

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Direct | None":
        """Any history has later items."""
        return cls(settings.max_history)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Split a window at random, shuffle the first part, and predict items of the second."""
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
