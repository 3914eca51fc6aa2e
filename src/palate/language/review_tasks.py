"""Tasks that reviews show how to answer, in words: why an item fits, what was thought of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from palate.language.tasks import Example, Slots
from palate.language.text.plain import one_line, without_markup
from palate.language.text.reviews import Review, Reviews
from palate.language.text_tasks import asking
from palate.types import History

_MAX_ASPECT = 120
_MOST_TRIES = 6


@dataclass(frozen=True)
class Explanation:
    """Why an item fits the user, in a sentence such as users write; half of the time on an aspect.

    The reply is a sentence of the user's own review of the item (Li et al. 2021, PETER; Geng et
    al. 2022, P5).
    """

    max_history: int
    reviews: Reviews
    name: str = "explanation"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots: the aspect differs from example to example, so it stands in the context."""
        return {}

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
        for event in _reviewed_events(self.reviews, history, rng):
            place = _place(history, event)
            remark = self.reviews.explanation_of(place, rng)
            if remark is not None:
                aspect = remark.aspect if rng.random() < 0.5 else ""
                row = int(history.item_rows[event])
                prompt = self.ask(history.take(slice(0, event)), row, aspect)
                return replace(prompt, target_texts=[remark.sentence])
        return None


@dataclass(frozen=True)
class Summary:
    """The title of a review, from its text."""

    reviews: Reviews
    name: str = "summary"
    max_history: int = field(default=0, init=False)

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots: the review stands in the context."""
        return {}

    def ask(self, text: str) -> Example:
        """Ask for a short title of a review."""
        return _about_text(without_markup(text))

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Choose a review that has both."""
        for _, review in _written(self.reviews, history, rng):
            if review.text and review.title:
                return replace(_about_text(review.text), target_texts=[review.title])
        return None


@dataclass(frozen=True)
class Preference:
    """What a reviewer likes or dislikes, from the text of the review."""

    reviews: Reviews
    name: str = "preference"
    max_history: int = field(default=0, init=False)

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots: the review stands in the context."""
        return {}

    def ask(self, text: str) -> Example:
        """Ask what the writer of a review likes or dislikes."""
        return _about_text(without_markup(text))

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Choose a review with a clear rating and an aspect that goes with it."""
        for place, review in _written(self.reviews, history, rng):
            judgement = self.reviews.judgement_of(place)
            if judgement is not None:
                return replace(
                    _about_text(review.text), target_texts=[preference_words(*judgement)]
                )
        return None


def preference_words(pleased: bool, aspects: Sequence[str]) -> str:
    """Return in words what somebody likes or dislikes.

    Example:
        >>> preference_words(True, ["sound", "price"])
        'likes the sound and the price'
    """
    return ("likes " if pleased else "dislikes ") + " and ".join(f"the {one}" for one in aspects)


def _about_text(text: str) -> Example:
    return asking(History(item_rows=np.zeros(0, dtype=np.int64)), [0], context=text)


def _reviewed_events(reviews: Reviews, history: History, rng: np.random.Generator) -> list[int]:
    """Return a few events of the history that have a review, in any order."""
    if history.places is None:
        return []
    events = np.flatnonzero(reviews.lines[history.places] >= 0)
    chosen: list[int] = rng.permutation(events)[:_MOST_TRIES].tolist()
    return chosen


def _place(history: History, event: int) -> int:
    assert history.places is not None
    return int(history.places[event])


def _written(
    reviews: Reviews, history: History, rng: np.random.Generator
) -> Iterable[tuple[int, Review]]:
    """Return a few of the user's reviews with their places, in any order."""
    for event in _reviewed_events(reviews, history, rng):
        place = _place(history, event)
        review = reviews.of(place)
        if review is not None:
            yield place, review
