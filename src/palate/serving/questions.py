"""What is asked of a live model, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from palate.inference.ask import Ask
from palate.serving.filters import ItemFilter
from palate.types import History

_POOL = 5
"""A diverse list of ``n`` is chosen from the best ``_POOL * n`` items, or from 50."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What somebody asks of a live model."""

    user_id: str | None
    history: History
    """In rows of the model that is asked."""
    n: int = 10
    family: str = "next-item"
    prompt: str | None = None
    """Free text read in place of the family's wording."""
    slots: Mapping[str, str] = field(default_factory=dict)
    context: str = ""
    """Words read before the history: a query, a category."""
    filter: ItemFilter | None = None
    exclude_seen: bool = True
    candidates: Int[np.ndarray, " candidates"] | None = None
    """Rows to rank; None ranks the whole catalogue."""
    diversity: float = 0.0
    """0 is by score alone, 1 as unlike as possible: :func:`palate.serving.lists.diversified`."""
    cache_key: str | None = None
    """Names the history's content; None takes a hash of it, which costs a few microseconds."""
    form: str | None = None
    """How the answer is made, of :attr:`palate.serving.abilities.Abilities.forms`; None is the
    model's usual way."""

    @property
    def ask(self) -> Ask:
        """The words of the question."""
        return Ask(self.family, self.prompt, dict(self.slots), self.context)

    @property
    def pool(self) -> int:
        """How many of the best items are looked at to make the list."""
        return self.n if self.diversity <= 0 else max(_POOL * self.n, 50)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The best items, best first; fewer than asked for only where fewer may be shown."""

    rows: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    version: str
    fallback: str | None
    """``popular`` where nothing is known of the user; ``cold-start`` where a question that needs a
    history was answered as one by somebody new; None where the model answered what was asked."""
