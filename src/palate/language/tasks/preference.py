"""Preference: what a reviewer likes or dislikes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking_about_text, most_common, user_reviews
from palate.language.tasks.material import Material
from palate.language.tasks.task import (
    MAX_CONTEXT_TOKENS,
    SENTENCE_TOKENS,
    Example,
    HeldOut,
    Slots,
    Task,
    TaskSettings,
    TokenCost,
    Wordings,
)
from palate.language.text.plain import without_markup
from palate.language.text.reviews import Reviews
from palate.types import History

_MOST_COUNTED = 5_000
"""Number of training reviews from which the most common answer is counted."""

_WORDINGS = Wordings(
    seen=(
        "what does the writer of the review like or dislike",
        "tell the preference behind this review",
        "read the review and say what the user likes or dislikes",
        "which aspect pleases or annoys the reviewer",
        "extract the preference of the user from the text",
        "what matters in this review, liked or disliked",
        "say whether the reviewer is pleased and with what",
    ),
    unseen=(
        "what did this person appreciate or complain about",
        "turn the opinion into a preference",
        "name what the review praises or blames",
    ),
)


@dataclass(frozen=True)
class Preference(Task):
    """State what a reviewer likes or dislikes; the review is the context."""

    name = "preference"
    description = "What the writer of a review likes or dislikes."
    answered_with = "words"
    wordings = _WORDINGS
    reads_context = True
    context_label = "Review"
    reads_history = False
    cue = "Answer with one sentence."
    to_do = "say what a review likes or dislikes"
    shown_by = "reviews"
    judged_by = "text"
    title = "says what a review likes or dislikes"

    reviews: Reviews
    max_history: int = field(default=0, init=False)

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Preference | None":
        """Needs reviews."""
        return None if material.reviews is None else cls(material.reviews)

    def ask(self, text: str) -> Example:
        """Ask what the writer of a review likes or dislikes."""
        return asking_about_text(without_markup(text))

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Choose a review with a clear rating and an aspect that goes with it."""
        for place, review in user_reviews(self.reviews, history, rng):
            judgement = self.reviews.judgement_of(place)
            if judgement is not None:
                answer = preference_words(*judgement)
                return replace(asking_about_text(review.text), target_texts=[answer])
        return None

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask about the event's own review."""
        review = None if reviews is None else reviews.of(event.place)
        if reviews is None or review is None:
            return None
        judged = reviews.judgement_of(event.place)
        if judged is None:
            return None
        return replace(self.ask(review.text), target_texts=[preference_words(*judged)])

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """A review is read, and answered by a sentence."""
        return TokenCost(0, MAX_CONTEXT_TOKENS + SENTENCE_TOKENS)

    def plain_answers(
        self, material: Material, events: Sequence[HeldOut], examples: Sequence[Example]
    ) -> Mapping[str, Sequence[str]]:
        """Return the most common answer in training."""
        return {"most common": [_common_judgement(material.reviews)] * len(examples)}

    def judged_parts(self, text: str) -> Mapping[str, str]:
        """Compare the whole text, and its first word: likes or dislikes."""
        return {"exact": text, "mood": text.partition(" ")[0]}


def preference_words(pleased: bool, aspects: Sequence[str]) -> str:
    """Return a phrase for what a reviewer likes or dislikes.

    Example:
        >>> preference_words(True, ["sound", "price"])
        'likes the sound and the price'
    """
    return ("likes " if pleased else "dislikes ") + " and ".join(f"the {one}" for one in aspects)


def _common_judgement(known: Reviews | None) -> str:
    if known is None:
        return ""
    places = np.flatnonzero(known.lines >= 0)
    spread = places[:: -(-len(places) // _MOST_COUNTED)]
    judged = [known.judgement_of(int(place)) for place in spread]
    return most_common(preference_words(*one) for one in judged if one is not None)
