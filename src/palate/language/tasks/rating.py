"""Rating: how a user rates an item."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking_of_each, before_events, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import (
    Example,
    Frame,
    HeldOut,
    Slots,
    Task,
    TaskSettings,
    TokenCost,
    Wordings,
)
from palate.language.text.plain import rating_words
from palate.language.text.reviews import Reviews
from palate.types import History

_MOST_LEVELS = 20

_WORDINGS = Wordings(
    seen=(
        "rate the item as this user would",
        "how many points does the user give the item",
        "predict the rating of the last item",
        "after this history, which rating does the item get",
        "tell the score the user gives to the item",
        "what is the rating of the user for the item shown",
        "give the item a rating on behalf of the user",
    ),
    unseen=(
        "how much will this person like the item, as a number",
        "put a number on the item for this user",
        "estimate the stars of this person for the item",
    ),
)


@dataclass(frozen=True)
class Rating(Task):
    """Predict the rating of an item as text, at every rated event of a window."""

    name = "rating"
    description = "How a user rates an item."
    answered_with = "words"
    wordings = _WORDINGS
    to_do = "predict ratings"
    shown_by = "ratings"
    judged_by = "rating"
    title = "rates"

    max_history: int
    levels: Sequence[float]
    """Rating levels, ascending (see :func:`rating_levels`)."""

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Rating | None":
        """Needs ratings of several levels."""
        several = len(material.levels) > 1
        return cls(settings.max_history, material.levels) if several else None

    @property
    def frame(self) -> Frame:
        """Its prompts name the scale."""
        low, high = rating_words(self.levels[0]), rating_words(self.levels[-1])
        return Frame(cue=f"Answer with a rating from {low} to {high}.")

    def ask(self, history: History, item_rows: Int[np.ndarray, " items"]) -> Example:
        """Ask for the rating of each item by the user, one prediction per item."""
        return asking_of_each(history.last(self.max_history), item_rows)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Predict every rated event from the events before it."""
        window = random_window(history, self.max_history + 1, rng)
        if window.ratings is None:
            return None
        places = np.flatnonzero(~np.isnan(window.ratings))
        target_texts = [self.words_of(float(rating)) for rating in window.ratings[places]]
        return before_events(window, places, window.item_rows[places], target_texts)

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask for the rating of the event."""
        if event.rating is None:
            return None
        prompt = self.ask(event.before, np.asarray([event.item_row]))
        return replace(prompt, target_texts=[self.words_of(event.rating)])

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Per event: its tokens, a candidate item, and an answer of one word and end mark."""
        return TokenCost(2 * item_format.places + 2)

    def words_of(self, rating: float) -> str:
        """Return the words of the level nearest to a rating."""
        return rating_words(min(self.levels, key=lambda level: abs(level - rating)))


def rating_levels(ratings: Float[np.ndarray, " events"]) -> tuple[float, ...]:
    """Return the distinct ratings, ascending; evenly spaced levels for a fine scale.

    Example:
        >>> rating_levels(np.asarray([4.0, np.nan, 1.0, 4.0]))
        (1.0, 4.0)
    """
    given = np.unique(np.round(ratings[~np.isnan(ratings)].astype(np.float64), 2))
    if len(given) > _MOST_LEVELS:
        given = np.round(np.linspace(given[0], given[-1], _MOST_LEVELS + 1), 2)
    return tuple(given.tolist())
