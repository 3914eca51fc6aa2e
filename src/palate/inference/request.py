"""What is asked of an engine, and what it answers: one object with one meaning at every door.

Python, the command line, HTTP and MCP turn ids into rows at their own edge and put the same
:class:`Request` to the same engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from palate.inference.filters import ItemFilter
from palate.types import History

NOBODY = History(item_rows=np.zeros(0, dtype=np.int64))
"""The history of somebody of whom nothing is known."""

_POOL = 5
"""A diverse list of ``n`` is chosen from the best ``_POOL * n`` items, or from 50."""
_NO_ROWS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request for items: for whom, in which words, and which items may be answered."""

    history: History = NOBODY
    """In rows of the engine that is asked."""
    n: int = 10
    """Number of items."""
    family: str = "next-item"
    """Family of prompts; one of its wordings is read unless ``prompt`` is given."""
    prompt: str | None = None
    """Free text that the model reads in place of the family's wording."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Values of the wording's slots, such as ``{"event": "purchase"}``."""
    context: str = ""
    """Words read before the history: a query, a category."""
    wording: int = 0
    """Which of the wordings the model was trained on."""
    form: str | None = None
    """How the answer is made, one of :attr:`Capabilities.forms`; None is the usual form."""
    filter: ItemFilter | None = None
    """What an item must fulfil."""
    candidates: Int[np.ndarray, " candidates"] | None = None
    """Rows to rank; None ranks the whole catalogue."""
    exclude: Int[np.ndarray, " excluded"] = field(default_factory=lambda: _NO_ROWS)
    """Rows that are never answered."""
    exclude_seen: bool = True
    """Whether the items of the history are left out."""
    diversity: float = 0.0
    """From 0 (by score alone) to 1 (as different as possible):
    :func:`palate.inference.ranking.diversified`."""
    fallback: str | None = None
    """What this request stands in for: ``titles`` where words are looked for in titles because the
    model was not trained to search."""
    user_id: str | None = None
    """Who asks, for whoever keeps a record of answers; the engine does not read it."""

    @property
    def pool(self) -> int:
        """How many of the best items are looked at to make the list."""
        return self.n if self.diversity <= 0 else max(_POOL * self.n, 50)

    @property
    def left_out(self) -> Int[np.ndarray, " rows"]:
        """Rows that may not be answered, whatever their score."""
        if not self.exclude_seen:
            return self.exclude
        if not len(self.exclude):
            return self.history.item_rows
        return np.concatenate([self.history.item_rows, self.exclude])

    @property
    def worded(self) -> tuple[object, ...]:
        """What decides the words of the prompt, but for the context."""
        slots = tuple(sorted(self.slots.items())) if self.slots else ()
        return self.family, self.prompt, self.wording, slots


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The best items, best first; fewer than asked for only where fewer may be shown."""

    rows: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    version: str
    """Names the content of the model that answered."""
    fallback: str | None = None
    """``popular`` or ``cold-start`` where nothing is known of the user and the request needs a
    history; ``titles`` where words were looked for in titles; None where the model answered the
    request itself."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One event of the history and how much the item's score falls without it."""

    event: int
    """Place in the history, 0 is the oldest."""
    weight: float
