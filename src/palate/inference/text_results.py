"""Result types of text answers: a rating with its distribution, an explanation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from palate.inference.printed.statements import Statement
from palate.language.text.plain import rating_words

FACTS = "facts"
"""Fallback of an explanation whose text was replaced by catalogue facts."""


@dataclass(frozen=True)
class Rated:
    """Predicted rating of an item by a user."""

    value: float
    """The expectation ``Σ_level level · p(level)``, which minimises the squared error."""
    likeliest: float
    """The most probable level."""
    words: str
    """That level as text."""
    levels: tuple[float, ...]
    """Rating levels, ascending."""
    chances: Float[np.ndarray, " levels"]
    """Probability of each level; they sum to 1."""

    @property
    def by_level(self) -> dict[str, float]:
        """The probability of each level, by its text."""
        pairs = zip(self.levels, self.chances.tolist(), strict=True)
        return {rating_words(level): round(chance, 4) for level, chance in pairs}


@dataclass(frozen=True)
class Explained:
    """Explanation of why an item fits a user."""

    text: str
    """The text to show."""
    generated: str
    """The text as generated."""
    invented: tuple[str, ...] = ()
    """Claims without support; sentences with them are removed from ``text``."""
    quoted: bool = False
    """True when the text is copied from a review of the item."""

    fallback: str | None = None
    """``facts`` where what a model wrote could not be shown and facts replace it."""
    statements: tuple[Statement, ...] = ()
    """What the text says, as data with sources; empty for the free words of a model."""
    refused: str = ""
    """Why the words of a rewriting model were not shown; empty where they were, or none was."""

    @property
    def was_edited(self) -> bool:
        """Whether ``text`` differs from the generated text."""
        return self.text != self.generated
