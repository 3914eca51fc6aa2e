"""Profile: what a user likes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.language.item_format import ItemFormat
from palate.language.tasks.asking import asking, most_common, random_window, some
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
from palate.language.text.facts import Facts
from palate.language.text.reviews import Reviews
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "describe the taste of this user",
        "what does the user like",
        "write a profile of the user",
        "sum up the history of the user in a sentence",
        "which kinds of items does the user prefer",
        "tell the interests of the user",
        "say what the user often chooses",
    ),
    unseen=(
        "characterise this person as a customer",
        "what is this person into",
        "portray the user from what was chosen",
    ),
)


@dataclass(frozen=True)
class Profile(Task):
    """Describe what the user likes, in one sentence made from catalogue facts."""

    name = "profile"
    description = "What a user likes, in a sentence."
    answered_with = "words"
    cue = "Answer with one sentence."
    wordings = _WORDINGS
    to_do = "say what a user likes"
    shown_by = "categories or brands"
    judged_by = "text"
    title = "says what a user likes"

    max_history: int
    facts: Facts
    max_predictions: int = 4

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Profile | None":
        """Needs categories or brands."""
        facts = material.facts
        known = any(facts.categories) or any(facts.brands)
        return cls(settings.max_history, facts) if known else None

    def ask(self, history: History) -> Example:
        """Ask what the user likes."""
        seen = history.last(self.max_history)
        return asking(seen, [len(seen)])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Describe the items so far, after some events of a window."""
        window = random_window(history, self.max_history, rng)
        prefix_lengths = some(range(1, len(window) + 1), self.max_predictions, rng)
        profiles = {int(cut): self.facts.profile(window.item_rows[:cut]) for cut in prefix_lengths}
        target_texts = {cut: sentence for cut, sentence in profiles.items() if sentence is not None}
        if not target_texts:
            return None
        prompt = asking(window.take(slice(0, max(target_texts))), list(target_texts))
        return replace(prompt, target_texts=list(target_texts.values()))

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask before the event; the target text includes the event."""
        sentence = self.facts.profile(event.before.extended(event.event).item_rows)
        return (
            None if sentence is None else replace(self.ask(event.before), target_texts=[sentence])
        )

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Every prediction answers with a sentence."""
        return TokenCost(item_format.places, self.max_predictions * SENTENCE_TOKENS)

    def plain_answers(
        self, material: Material, events: Sequence[HeldOut], examples: Sequence[Example]
    ) -> Mapping[str, Sequence[str]]:
        """Return the most common sentence, and the sentence of the history before the event."""
        profiles = (self.facts.profile(history.item_rows) for history in material.dataset.sequences)
        common = most_common(sentence for sentence in profiles if sentence)
        by_rule = [self.facts.profile(event.before.item_rows) or "" for event in events]
        return {"most common": [common] * len(events), "counted in the history": by_rule}

    def judged_parts(self, text: str) -> Mapping[str, str]:
        """Compare the whole sentence."""
        return {"exact": text}
