"""Cold start: what a new user may like."""

from dataclasses import dataclass, field

import numpy as np

from palate.language.tasks.asking import random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "the user is new : recommend items",
        "only little is known : what could be next",
        "recommend for somebody new",
        "first steps of a new user : suggest items",
        "suggest items from very few events",
        "start a list for a new user",
    ),
    unseen=(
        "a newcomer arrives, what to show",
        "recommend with hardly any history",
    ),
)


@dataclass(frozen=True)
class ColdStart(Task):
    """Recommend to users with at most two events; half of the time items have no IDs."""

    name = "cold-start"
    description = "Items for somebody of whom little is known."
    answered_with = "items"
    wordings = _WORDINGS

    max_history: int = field(default=2, init=False)

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "ColdStart | None":
        """Offered for any data."""
        return cls()

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Start at a random event and predict the first events from there."""
        window = random_window(history, self.max_history + 1, rng)
        if len(window) == 0:
            return None
        return Example(
            history=window.take(slice(0, len(window) - 1)),
            prefix_lengths=np.arange(len(window)),
            targets=window.item_rows[:, None],
            without_id=bool(rng.random() < 0.5),
        )
