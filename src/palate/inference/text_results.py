"""What answers in words are: a rating with the chance of each level, an explanation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from palate.language.text.plain import rating_words

FACTS = "facts"
"""The fallback of an explanation of which nothing was left but facts."""


@dataclass(frozen=True)
class Rated:
    """How a user rates an item."""

    value: float
    """The expectation, ``Σ_level level · p(level)``: what has the least squared error."""
    likeliest: float
    """The level of the greatest chance."""
    words: str
    """That level as the model says it."""
    levels: tuple[float, ...]
    """Ratings there are, ascending."""
    chances: Float[np.ndarray, " levels"]
    """Of each level; they sum to 1."""

    @property
    def by_level(self) -> dict[str, float]:
        """The chance of each level, as the level is written."""
        pairs = zip(self.levels, self.chances.tolist(), strict=True)
        return {rating_words(level): round(chance, 4) for level, chance in pairs}


@dataclass(frozen=True)
class Explained:
    """Why an item fits a user."""

    text: str
    """What to show."""
    written: str
    """What the model wrote."""
    invented: tuple[str, ...] = ()
    """What it claimed without ground; such sentences are left out of ``text``."""
    quoted: bool = False
    """Whether the words are those of somebody's review of the item."""

    fallback: str | None = None
    """``facts`` where nothing was left of what the model wrote, and facts are told in its place."""

    @property
    def was_mended(self) -> bool:
        """Whether what is shown is not what was written."""
        return self.text != self.written
