"""The next item of a category."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palate.language.tasks.asking import next_where, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "recommend items of this category",
        "next item within the category",
        "what will the user choose from this category",
        "suggest something of this kind",
        "stay within the category and recommend",
        "predict the next item of this category",
    ),
    unseen=(
        "pick items from the given category",
        "something from this category for the user",
    ),
)


@dataclass(frozen=True)
class Category(Task):
    """Predict the next item of a category given in words.

    The category differs between examples, so it is part of the context and not a slot.
    """

    name = "category"
    description = "The next item of a category that is given in words."
    answered_with = "items"
    wordings = _WORDINGS
    reads_context = True
    context_label = "Category"

    max_history: int
    item_categories: Sequence[Sequence[str]]

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Category | None":
        """Needs categories."""
        found = material.dataset.catalog.table["categories"].to_list()
        categories = [list(names or []) for names in found]
        return cls(settings.max_history, categories) if any(categories) else None

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
        return next_where(window, has_it, context=category)
