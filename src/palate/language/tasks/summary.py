"""Summary: the title of a review."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking_about_text, user_reviews
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
from palate.trust.sentences import first_sentence
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "write a title for this review",
        "summarise the review in a few words",
        "what is the headline of the review",
        "shorten the review to a title",
        "give the gist of what the user wrote",
        "say the opinion of the review briefly",
        "find a short summary of the text",
    ),
    unseen=(
        "condense this opinion into one line",
        "how would you head this review",
        "put the review in a nutshell",
    ),
)


@dataclass(frozen=True)
class Summary(Task):
    """Generate the title of a review; its text is the context."""

    name = "summary"
    description = "The title of a review, from its text."
    answered_with = "words"
    wordings = _WORDINGS
    reads_context = True
    context_label = "Review"
    reads_history = False
    cue = "Answer with a short title."
    to_do = "summarise reviews"
    shown_by = "reviews"
    judged_by = "text"
    title = "summarises reviews"

    reviews: Reviews
    max_history: int = field(default=0, init=False)

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Summary | None":
        """Needs reviews."""
        return None if material.reviews is None else cls(material.reviews)

    def ask(self, text: str) -> Example:
        """Ask for a short title of a review."""
        return asking_about_text(without_markup(text))

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Choose a review that has a text and a title."""
        for _, review in user_reviews(self.reviews, history, rng):
            if review.text and review.title:
                return replace(asking_about_text(review.text), target_texts=[review.title])
        return None

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask for the title of the event's own review."""
        review = None if reviews is None else reviews.of(event.place)
        if review is None or not (review.text and review.title):
            return None
        return replace(self.ask(review.text), target_texts=[review.title])

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """A review is read, and answered by a sentence."""
        return TokenCost(0, MAX_CONTEXT_TOKENS + SENTENCE_TOKENS)

    def plain_answers(
        self, material: Material, events: Sequence[HeldOut], examples: Sequence[Example]
    ) -> Mapping[str, Sequence[str]]:
        """Return the first sentence of the review."""
        return {"first sentence": [first_sentence(example.context) for example in examples]}
