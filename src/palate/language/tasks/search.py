"""Search: from a query to items."""

from dataclasses import dataclass

import numpy as np

from palate.language.queries import QueryPool
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_MAX_HISTORY = 10
"""Maximum history length before a query: enough for taste, short enough for large batches."""

_WORDINGS = Wordings(
    seen=(
        "find items for this query",
        "search the catalogue for these words",
        "which items match the query",
        "the user searches for these words",
        "look up items by words",
        "retrieve items that fit the description",
    ),
    unseen=(
        "show results for what was typed",
        "items about these words",
    ),
)


@dataclass(frozen=True)
class Search(Task):
    """Find items for a query; half of the queries come with a user's history.

    The query differs between examples, so it is part of the context and not a slot.
    """

    name = "search"
    description = "Items that words describe."
    answered_with = "items"
    wordings = _WORDINGS
    reads_context = True
    context_label = "Query"
    uses_queries = True

    max_history: int
    pool: QueryPool

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Search | None":
        """Needs items with queries."""
        return cls(_MAX_HISTORY, material.queries) if material.queries.texts else None

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Search for a later item of the history, or for a random item without a history."""
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
