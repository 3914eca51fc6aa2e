"""Next title: the title of the next item."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking, random_window, titled_places
from palate.language.tasks.material import Material
from palate.language.tasks.task import (
    TITLE_TOKENS,
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

_WORDINGS = Wordings(
    seen=(
        "name the next item",
        "what is the title of the item that comes next",
        "tell in words what the user chooses next",
        "write the title of the next item",
        "continue the history with a title",
        "what is the next item called",
        "predict the next title",
    ),
    unseen=(
        "say what this person will take next",
        "which title follows the history",
        "put the next choice into words",
    ),
)


@dataclass(frozen=True)
class NextTitle(Task):
    """Generate the title of the next item."""

    name = "next-title"
    description = "What comes next, by its title."
    answered_with = "words"
    reads_dates = True
    cue = "Answer with its title."
    wordings = _WORDINGS
    to_do = "say the title of what comes next"
    shown_by = "titles"
    judged_by = "title"
    title = "names the next item"

    max_history: int
    titles: Sequence[str]
    """Title of every item; an item with an empty title is never a target."""
    max_predictions: int = 6
    """Maximum number of predictions per window, since titles are long."""

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "NextTitle | None":
        """Needs titles."""
        return cls(settings.max_history, material.titles) if any(material.titles) else None

    def ask(self, history: History) -> Example:
        """Ask for the title of the next item."""
        seen = history.last(self.max_history)
        return asking(seen, [len(seen)])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Predict some events of a window, each from the events before it."""
        window = random_window(history, self.max_history + 1, rng)
        places = titled_places(window, self.titles, self.max_predictions, rng)
        if len(places) == 0:
            return None
        prompt = asking(window.take(slice(0, int(places[-1]))), places)
        return replace(
            prompt, target_texts=[self.titles[window.item_rows[place]] for place in places]
        )

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask for the title of the event's item."""
        title = self.titles[event.item_row]
        return replace(self.ask(event.before), target_texts=[title]) if title else None

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Every prediction answers with a title."""
        return TokenCost(item_format.places, self.max_predictions * TITLE_TOKENS)
