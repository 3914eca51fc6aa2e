"""Next behaviours: the next few items (Wu et al. 2020, PTUM)."""

from dataclasses import dataclass, replace

import numpy as np

from palate.language.tasks.asking import asking, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "predict the next few items",
        "which items come next in any order",
        "recommend the items of the next events",
        "what will the user choose in the near future",
        "give several items that follow",
        "list what comes soon for this user",
        "look a few events ahead",
    ),
    unseen=(
        "foresee the coming choices of this person",
        "items of the near future",
        "what are the next steps of the user",
    ),
)


@dataclass(frozen=True)
class NextBehaviours(Task):
    """Predict the next few items, in any order, after every event of a window."""

    name = "next-behaviours"
    description = "The next few items, in any order."
    answered_with = "items"
    reads_dates = True
    wordings = _WORDINGS
    needs_history = True
    pretraining = True

    max_history: int
    num_targets: int = 4

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "NextBehaviours | None":
        """Any history has next items."""
        return cls(settings.max_history)

    def ask(self, history: History) -> Example:
        """Ask for the items that come next."""
        shown = history.last(self.max_history)
        return asking(shown, [len(shown)])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """After every event the targets are the events that follow, at most ``num_targets``."""
        window = random_window(history, self.max_history + self.num_targets, rng)
        if len(window) < 2:
            return None
        shown = window.take(slice(0, min(self.max_history, len(window) - 1)))
        prefix_lengths = np.arange(1, len(shown) + 1)
        following = prefix_lengths[:, None] + np.arange(self.num_targets)
        rows = np.append(window.item_rows, np.full(self.num_targets, -1))
        return replace(self.ask(shown), prefix_lengths=prefix_lengths, targets=rows[following])
