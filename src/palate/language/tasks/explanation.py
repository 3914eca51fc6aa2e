"""Explanation: why an item fits a user."""

from dataclasses import dataclass, replace

import numpy as np

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking, reviewed_events
from palate.language.tasks.material import Material
from palate.language.tasks.task import (
    SENTENCE_TOKENS,
    Example,
    HeldOut,
    Slots,
    Task,
    TaskSettings,
    TokenCost,
    Wordings,
)
from palate.language.text.plain import one_line
from palate.language.text.reviews import Reviews
from palate.types import History

_MAX_ASPECT = 120

_WORDINGS = Wordings(
    seen=(
        "explain why the item fits this user",
        "why should the user choose this item",
        "write a reason for recommending the item",
        "tell the user what speaks for the item",
        "say in one sentence what the user thinks of the item",
        "give an explanation that mentions the word if there is one",
        "describe what matters to this user about the item",
    ),
    unseen=(
        "justify the recommendation of the item",
        "what would this person say about the item",
        "convince the user of the item in a sentence",
    ),
)


@dataclass(frozen=True)
class Explanation(Task):
    """Explain why an item fits the user, in one sentence, half of the time on a given aspect.

    The target text is a sentence of the user's own review of the item (Li et al. 2021, PETER; Geng
    et al. 2022, P5). The aspect differs between examples, so it is part of the context.
    """

    name = "explanation"
    description = "Why an item fits a user, in a sentence such as users write."
    answered_with = "words"
    cue = "Answer with one sentence."
    context_label = "About"
    wordings = _WORDINGS
    reads_context = True
    to_do = "explain in words"
    shown_by = "reviews"
    judged_by = "explanation"
    title = "explains"

    max_history: int
    reviews: Reviews

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Explanation | None":
        """Needs reviews."""
        reviews = material.reviews
        return None if reviews is None else cls(settings.max_history, reviews)

    def ask(self, history: History, item_row: int, aspect: str = "") -> Example:
        """Ask why the item fits, on an aspect if one is given."""
        seen = history.last(self.max_history)
        return asking(
            seen,
            [len(seen)],
            candidates=np.asarray([[item_row]]),
            context=one_line(aspect, _MAX_ASPECT),
        )

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Choose a reviewed event; its history is what came before."""
        for event, place in reviewed_events(self.reviews, history, rng):
            remark = self.reviews.explanation_of(place, rng)
            if remark is not None:
                aspect = remark.aspect if rng.random() < 0.5 else ""
                row = int(history.item_rows[event])
                prompt = self.ask(history.take(slice(0, event)), row, aspect)
                return replace(prompt, target_texts=[remark.sentence])
        return None

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask for a sentence of the event's own review."""
        if reviews is None or reviews.of(event.place) is None:
            return None
        remark = reviews.explanation_of(event.place)
        if remark is None:
            return None
        return replace(self.ask(event.before, event.item_row), target_texts=[remark.sentence])

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """One candidate item, and a sentence as the answer."""
        return TokenCost(item_format.places, item_format.places + SENTENCE_TOKENS)
