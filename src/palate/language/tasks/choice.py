"""Choice: which of some candidates comes next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking, random_window, titled_places, unseen_items
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

_MOST_EVENTS = 10
"""Maximum history length; the candidates take far more tokens."""

_WORDINGS = Wordings(
    seen=(
        "choose the next item among the candidates",
        "which of the items shown last comes next",
        "one of the candidates is next, name it",
        "pick the candidate that continues the history",
        "give the title of the right candidate",
        "from the list after the history, which item will the user take",
        "select the item of the list that fits best",
    ),
    unseen=(
        "name the candidate this person goes for",
        "out of these items, what is the next one called",
        "which title of the list would the user pick",
    ),
)


@dataclass(frozen=True)
class Choice(Task):
    """Choose the next item among candidates, answered with its title (Liao et al. 2024, LLaRA)."""

    name = "choice"
    description = "Which of some candidates comes next, by its title."
    answered_with = "words"
    reads_dates = True
    cue = "Answer with the title of one of them."
    wordings = _WORDINGS
    to_do = "choose among items"
    shown_by = "titles"
    judged_by = "choice"
    title = "chooses among candidates"

    titles: Sequence[str]
    """Title of every item; an item with an empty title is never a candidate."""
    max_history: int = _MOST_EVENTS
    num_candidates: int = 20
    max_predictions: int = 2
    """Maximum number of predictions per window; each reads all its candidates."""

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Choice | None":
        """Needs titles."""
        if not any(material.titles):
            return None
        return cls(material.titles, min(_MOST_EVENTS, settings.max_history), settings.candidates)

    def ask(self, history: History, item_rows: Int[np.ndarray, " candidates"]) -> Example:
        """Ask which of the items comes next."""
        seen = history.last(self.max_history)
        return asking(seen, [len(seen)], candidates=item_rows[None])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Return the true next item among items that the user never had, in random order."""
        window = random_window(history, self.max_history + 1, rng)
        places = titled_places(window, self.titles, self.max_predictions, rng)
        choices = np.full((len(places), self.num_candidates), -1)
        for candidates, place in zip(choices, places, strict=True):
            found = self.candidates(history, int(window.item_rows[place]), rng)
            candidates[: len(found)] = found
        if len(places) == 0 or (choices >= 0).sum(axis=1).min() < 2:
            return None
        prompt = asking(window.take(slice(0, int(places[-1]))), places, candidates=choices)
        return replace(
            prompt, target_texts=[self.titles[window.item_rows[place]] for place in places]
        )

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask for the item of the event among others."""
        title = self.titles[event.item_row]
        if not title:
            return None
        candidates = self.candidates(event.before, event.item_row, rng)
        return replace(self.ask(event.before, candidates), target_texts=[title])

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Every prediction reads its candidates and answers with a title."""
        item = item_format.places
        return TokenCost(item, self.max_predictions * (self.num_candidates * item + TITLE_TOKENS))

    def candidates(
        self, history: History, target: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " candidates"]:
        """Return the target among unseen items, all with different titles, in random order."""
        drawn = unseen_items(history, 2 * self.num_candidates, len(self.titles), rng)
        of_title = {self.titles[target]: target}
        for row in drawn.tolist():
            if self.titles[row] and len(of_title) < self.num_candidates:
                of_title.setdefault(self.titles[row], row)
        return rng.permutation(np.asarray(list(of_title.values())))
