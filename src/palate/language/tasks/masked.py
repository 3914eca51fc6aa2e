"""Masked behaviour: which event is missing in a history (Wu et al. 2020, PTUM)."""

from dataclasses import dataclass, replace

import numpy as np

from palate.language.tasks.asking import asking, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "one event is missing at the place told, which item is it",
        "fill the gap in the history",
        "find the item that was left out",
        "which item belongs in the gap",
        "restore the missing event",
        "recommend the item that was hidden",
        "complete the history at the given place",
    ),
    unseen=(
        "what did the user choose in between",
        "put back what was taken out",
        "guess the hidden item from what is around it",
    ),
)


@dataclass(frozen=True)
class MaskedBehaviour(Task):
    """Predict one removed event of a window from the events before and after it."""

    name = "masked"
    description = "The event that was left out of a history."
    answered_with = "items"
    wordings = _WORDINGS
    reads_context = True
    context_label = "Missing"
    needs_history = True
    pretraining = True

    max_history: int

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "MaskedBehaviour | None":
        """Any history can have a gap."""
        return cls(settings.max_history)

    def ask(self, history: History, place: int) -> Example:
        """Ask what is missing after the first ``place`` events.

        The position is part of the context in words, since the gap leaves no trace in the sequence.
        """
        shown = history.last(self.max_history)
        after = max(0, place - (len(history) - len(shown)))
        return asking(shown, [len(shown)], context=f"after event {after} of {len(shown)}")

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Remove a random event of a window."""
        window = random_window(history, self.max_history + 1, rng)
        if len(window) < 2:
            return None
        missing = int(rng.integers(len(window)))
        prompt = self.ask(window.without(missing), missing)
        return replace(prompt, targets=window.item_rows[[[missing]]])
