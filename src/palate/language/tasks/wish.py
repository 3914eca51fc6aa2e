"""A wish in words, with a history: the next item that it fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.language.tasks.asking import next_where, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.language.wishes.making import WishPool
from palate.language.wishes.wish import meets
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "recommend what the user wishes for",
        "the user says what is wanted : recommend items",
        "which item that fits the wish comes next",
        "suggest items that fit these words and this user",
        "follow the wish and the taste of the user",
        "predict the next item that the words describe",
    ),
    unseen=(
        "grant the wish with items this user likes",
        "items for what the person asks",
    ),
)


@dataclass(frozen=True)
class Wished(Task):
    """Predict, after every event, the next item that meets a wish in words.

    The wish is made from what a later item is (:mod:`palate.language.wishes.making`). It differs
    between examples, so it is part of the context and not a slot.
    """

    name = "wish"
    description = "The next item that a wish in words fits."
    answered_with = "items"
    wordings = _WORDINGS
    reads_context = True
    context_label = "Wish"

    max_history: int
    pool: WishPool
    first_query: int = 0
    """Where the wishes begin among the query vectors."""

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Wished | None":
        """Needs items of which something is known."""
        if not material.wishes.wishes:
            return None
        return cls(settings.max_history, material.wishes, len(material.queries.texts))

    @property
    def own_queries(self) -> Sequence[str]:
        """What each wish wants, in a few words."""
        return self.pool.contents

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Choose a wish that a later item meets; every target is the next item that meets it."""
        window = random_window(history, self.max_history + 1, rng)
        if len(window) < 2:
            return None
        chosen = int(window.item_rows[rng.integers(1, len(window))])
        index = self.pool.choose(chosen, rng)
        if index is None:
            return None
        wish, terms = self.pool.wishes[index], self.pool.terms
        fits = np.asarray([meets(wish, terms, row) for row in window.item_rows.tolist()])
        found = next_where(window, fits, context=self.pool.said(index, rng))
        if found is None or not self.pool.contents[index]:
            return found
        return replace(found, query=self.first_query + index)
