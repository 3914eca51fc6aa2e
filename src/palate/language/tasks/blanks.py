"""Blank filling: parts of a history or of a review are hidden, and generated in their order.

Autoregressive blank infilling (Du et al. 2022, GLM) with whole entities (Chu, Hao et al. 2023,
RecSysLLM, arXiv 2308.10837): an item is hidden whole or not at all, one mark stands for each hidden
part, and the parts are generated in chronological order, each with an end mark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from palate.language.item_format import MAX_TITLE_WORDS, NOTHING, ItemFormat
from palate.language.tasks.asking import no_events, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import (
    MAX_CONTEXT_TOKENS,
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
from palate.trust.sentences import split_sentences
from palate.types import History

Level = Literal["entity", "sentence", "document"]
"""What is hidden: single items; a sentence, or a run of events; at least the last half."""

LEVELS: tuple[Level, ...] = ("entity", "sentence", "document")

_HIDDEN_SHARE = 0.15
"""Share of the events of a window that are hidden at the entity level."""

_LONGEST_RUN = 3
"""Maximum number of events of a hidden run."""

_READ_CHARACTERS = 500
"""Length of a review that is used: about one context, so that no blank is cut off."""


_WORDINGS = Wordings(
    seen=(
        "say what stands in the blanks",
        "fill in what is hidden, in its order",
        "restore the parts that were left out",
        "write what each mark stands for",
        "complete the text",
        "what was covered here",
        "put the missing words back, the first blank first",
    ),
    unseen=(
        "which words are not shown",
        "uncover the hidden parts one after the other",
        "mend the text",
    ),
)


@dataclass(frozen=True)
class BlankFilling(Task):
    """Fill in parts that are hidden at a level drawn for each example; answered with text."""

    name = "blanks"
    description = "What stands in the blanks of a history or of a review."
    answered_with = "words"
    wordings = _WORDINGS
    reads_context = True
    cue = "Fill in the blanks."
    pretraining = True
    to_do = "fill blanks"

    max_history: int
    reviews: Reviews | None = None
    """Reviews in which sentences are hidden; without reviews runs of events are hidden."""
    levels: Sequence[Level] = LEVELS

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "BlankFilling | None":
        """Any history can have blanks."""
        return cls(settings.max_history, material.reviews)

    def ask_last(self, history: History) -> Example:
        """Hide the newest event."""
        shown = history.last(self.max_history)
        return _hiding(shown, np.arange(len(shown)) - len(shown) + 1)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Hide part of a review, or part of a history at the entity level or without a review.

        At the document level reviews and histories are equally likely.
        """
        level = self.levels[int(rng.integers(len(self.levels)))]
        if level == "sentence" or (level == "document" and rng.random() < 0.5):
            about_text = _in_review(self._review(history, rng), level, rng)
            if about_text is not None:
                return about_text
        window = random_window(history, self.max_history, rng)
        if len(window) < 2:
            return None
        return _hiding(window, _hidden_events(len(window), level, rng))

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Hide the event."""
        return self.ask_last(event.before.extended(event.event))

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """An event costs its tokens or its title; a review counts once, read or generated."""
        row = 0 if self.reviews is None else MAX_CONTEXT_TOKENS
        return TokenCost(item_format.places + MAX_TITLE_WORDS, row + TITLE_TOKENS)

    def _review(self, history: History, rng: np.random.Generator) -> str:
        """Return the beginning of a random review of the user; empty without one."""
        if self.reviews is None or history.places is None:
            return ""
        places = self.reviews.among(history.places)
        review = self.reviews.of(int(rng.choice(places))) if len(places) else None
        return "" if review is None else review.text[:_READ_CHARACTERS]


def _hiding(history: History, hidden: Int[np.ndarray, " events"]) -> Example:
    return Example(
        history=history,
        prefix_lengths=np.asarray([len(history)]),
        targets=np.zeros((1, 0), dtype=np.int64),
        hidden=np.where(hidden >= 0, hidden, NOTHING),
    )


def _hidden_events(num_events: int, level: Level, rng: np.random.Generator) -> np.ndarray:
    """Return the index of the blank that hides each event, NOTHING where it is visible."""
    hidden = np.full(num_events, NOTHING)
    match level:
        case "entity":
            count = max(1, round(_HIDDEN_SHARE * num_events))
            hidden[np.sort(rng.permutation(num_events)[:count])] = np.arange(count)
        case "sentence":
            length = int(rng.integers(1, min(_LONGEST_RUN, num_events - 1) + 1))
            start = int(rng.integers(num_events - length + 1))
            hidden[start : start + length] = 0
        case "document":
            hidden[-math.ceil(rng.uniform(0.5, 1.0) * num_events) :] = 0
    return hidden


def _in_review(text: str, level: Level, rng: np.random.Generator) -> Example | None:
    """Return an example that hides a sentence, or the end, of a text; None if too short."""
    pieces = text.split(" ") if level == "document" else split_sentences(text)
    joint = " " if level == "document" else ""
    if len(pieces) < 2:
        return None
    first = int(rng.integers(len(pieces) // 2 + 1) if joint else rng.integers(len(pieces)))
    after = len(pieces) if joint else first + 1
    before = joint.join(pieces[:first])
    return Example(
        history=no_events(),
        prefix_lengths=np.asarray([0]),
        targets=np.zeros((1, 0), dtype=np.int64),
        context=before + joint.join(pieces[after:]),
        gap=len(before),
        target_texts=[joint.join(pieces[first:after]).strip()],
    )
