"""Yes or no: whether an item fits a user."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import (
    asking_of_each,
    before_events,
    random_window,
    unseen_items,
)
from palate.language.tasks.material import Material
from palate.language.tasks.task import (
    Example,
    HeldOut,
    Slots,
    Task,
    TaskSettings,
    TokenCost,
    Wordings,
)
from palate.language.text.reviews import Reviews
from palate.types import History

YES, NO = "Yes", "No"
"""The answers of :class:`YesNo`; the probability of YES is the score. A pre-trained model answers
with a capital letter; our own tokenizer does not tell letters apart by that."""

_WORDINGS = Wordings(
    seen=(
        "is the item for this user, yes or no",
        "will the user choose the item",
        "does the user like the item, yes or no",
        "decide whether to recommend the item",
        "would the user enjoy the item given the history",
        "answer yes if the item fits the user, otherwise no",
        "is this the right item for the user",
    ),
    unseen=(
        "should the item be shown to this person",
        "tell whether this person wants the item",
        "does the item match the taste of the user",
    ),
)


@dataclass(frozen=True)
class YesNo(Task):
    """Predict whether an item fits the user, yes or no; the probability of *yes* is a score.

    Without a threshold *yes* is the next item and *no* a random item that the user never had (as in
    CTR models); with a threshold *yes* is an item rated above it (Bao et al. 2023, TALLRec).
    """

    name = "yes-no"
    formerly = "ranking"
    description = "Whether an item is for a user, yes or no."
    answered_with = "words"
    cue = "Answer with yes or no."
    wordings = _WORDINGS
    to_do = "say yes or no to an item"
    shown_by = "ratings"
    judged_by = "yes-no"
    title = "tells what is for a user (yes or no)"

    max_history: int
    num_items: int
    threshold: float | None = None

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "YesNo | None":
        """Needs ratings where *yes* means liked."""
        threshold = settings.like_above
        if threshold is not None and len(material.levels) < 2:
            return None
        return cls(settings.max_history, len(material.dataset.catalog), threshold)

    def ask(self, history: History, item_rows: Int[np.ndarray, " items"]) -> Example:
        """Ask of each item whether it is for the user, one prediction per item."""
        return asking_of_each(history.last(self.max_history), item_rows)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Ask about one item before every event: the true item or a negative."""
        window = random_window(history, self.max_history + 1, rng)
        if self.threshold is not None:
            return self._liked_or_not(window, self.threshold)
        item_rows = window.item_rows.copy()
        swapped = np.flatnonzero(rng.random(len(window)) < 0.5)
        others = unseen_items(history, len(swapped), self.num_items, rng)
        swapped = swapped[: len(others)]
        item_rows[swapped] = others
        true = np.ones(len(window), dtype=bool)
        true[swapped] = False
        return before_events(window, np.arange(len(window)), item_rows, _yes_or_no(true))

    def _liked_or_not(self, window: History, threshold: float) -> Example | None:
        if window.ratings is None:
            return None
        places = np.flatnonzero(~np.isnan(window.ratings))
        liked = window.ratings[places] > threshold
        return before_events(window, places, window.item_rows[places], _yes_or_no(liked))

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask about the item and one that the user never had, or whether the item is liked."""
        if self.threshold is None:
            others = unseen_items(event.before, 1, self.num_items, rng)
            candidates = np.concatenate([[event.item_row], others])
            prompt = self.ask(event.before, candidates)
            return replace(prompt, target_texts=[YES, NO][: len(candidates)])
        if event.rating is None:
            return None
        answer = YES if event.rating > self.threshold else NO
        prompt = self.ask(event.before, np.asarray([event.item_row]))
        return replace(prompt, target_texts=[answer])

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Per event: its tokens, one candidate item, and an answer of one word."""
        return TokenCost(2 * item_format.places + 2)


def _yes_or_no(true: Bool[np.ndarray, " predictions"]) -> list[str]:
    return [YES if one else NO for one in true]
