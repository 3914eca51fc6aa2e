"""Title: the title of an item."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking_of_each, no_events
from palate.language.tasks.material import Material
from palate.language.tasks.task import (
    TITLE_TOKENS,
    Example,
    Slots,
    Task,
    TaskSettings,
    TokenCost,
    Wordings,
)
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "what is the item called",
        "give the title of the item",
        "name the item",
        "tell which item this is",
        "write out the title",
        "translate the item into words",
        "say the name of the item shown",
    ),
    unseen=(
        "identify the item in words",
        "how is this item named",
        "spell out what the item is",
    ),
)


@dataclass(frozen=True)
class Title(Task):
    """Generate the title of an item; aligns words and items (Zheng et al. 2024, LC-Rec)."""

    name = "title"
    description = "What an item is called."
    answered_with = "words"
    reads_history = False
    cue = "Answer with its title."
    wordings = _WORDINGS
    to_do = "name items"
    shown_by = "titles"

    titles: Sequence[str]
    """Title of every item; empty where it has none."""
    items_per_example: int = 8
    max_history: int = field(default=0, init=False)

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Title | None":
        """Needs titles."""
        return cls(material.titles) if any(material.titles) else None

    def ask(self, item_rows: Int[np.ndarray, " items"]) -> Example:
        """Ask for the title of each item, one prediction per item."""
        return asking_of_each(no_events(), item_rows)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Sample items of the whole catalogue, so that rare items are learned as well."""
        drawn = rng.integers(len(self.titles), size=self.items_per_example)
        rows = np.asarray([row for row in drawn.tolist() if self.titles[row]], dtype=np.int64)
        if len(rows) == 0:
            return None
        return replace(self.ask(rows), target_texts=[self.titles[row] for row in rows])

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Every prediction reads an item and answers with a title."""
        return TokenCost(0, self.items_per_example * (item_format.places + TITLE_TOKENS))
