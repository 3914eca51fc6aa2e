"""Tasks of pre-training on behaviour alone (Wu et al. 2020, PTUM), answered by items."""

from dataclasses import dataclass, replace

import numpy as np

from palate.language.tasks import Example, Slots, random_window
from palate.types import History


@dataclass(frozen=True)
class MaskedBehaviour:
    """One event of a window is left out, and asked for from those before and after it."""

    max_history: int
    name: str = "masked"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, history: History, place: int) -> Example:
        """Ask what is missing after the first ``place`` events.

        The place stands in the context in words, since a gap leaves no trace in the sequence.
        """
        shown = history.last(self.max_history)
        after = max(0, place - (len(history) - len(shown)))
        return Example(
            history=shown,
            prefix_lengths=np.asarray([len(shown)]),
            targets=np.zeros((1, 0), dtype=np.int64),
            context=f"after event {after} of {len(shown)}",
        )

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Leave any event of a window out."""
        window = random_window(history, self.max_history + 1, rng)
        if len(window) < 2:
            return None
        missing = int(rng.integers(len(window)))
        prompt = self.ask(window.without(missing), missing)
        return replace(prompt, targets=window.item_rows[[[missing]]])


@dataclass(frozen=True)
class NextBehaviours:
    """The next few items, asked for after every event of a window, in whatever order."""

    max_history: int
    num_targets: int = 4
    name: str = "next-behaviours"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, history: History) -> Example:
        """Ask for the items that come next."""
        shown = history.last(self.max_history)
        targets = np.zeros((1, 0), dtype=np.int64)
        return Example(history=shown, prefix_lengths=np.asarray([len(shown)]), targets=targets)

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
