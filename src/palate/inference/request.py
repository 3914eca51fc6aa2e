"""Requests to an engine and its answers, shared by all interfaces.

Python, the command line, HTTP and MCP convert ids to rows at their own edge and send the same
:class:`Request` to the same engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from palate.inference.filters import ItemFilter
from palate.language.wishes.reading import Part
from palate.types import History

NOBODY = History(item_rows=np.zeros(0, dtype=np.int64))
"""The empty history of an unknown user."""

_POOL = 5
"""A diverse list of ``n`` is chosen from the best ``_POOL * n`` items, at least 50."""
_NO_ROWS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request for items: the history, the prompt, and the allowed items."""

    history: History = NOBODY
    """History in catalogue rows of the engine."""
    n: int = 10
    """Number of items."""
    family: str = "next-item"
    """Family of prompts; one of its wordings is read unless ``prompt`` is given."""
    prompt: str | None = None
    """Free text: what is wished for, or a wording in place of the family's."""
    steer: bool = True
    """Whether ``prompt`` is understood as a wish, unless it is one of the model's own wordings.
    False makes it the instruction that the model reads, and nothing else."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Values of the wording's slots, such as ``{"event": "purchase"}``."""
    context: str = ""
    """Text read before the history: a query, a category, a wish."""
    meaning: str | None = None
    """Words whose text vector is read after the context, for a family that has one; None means
    those of the context."""
    wording: int = 0
    """Index of the wording among those of training."""
    form: str | None = None
    """Form of the answer, one of :attr:`Capabilities.forms`; None is the default form."""
    filter: ItemFilter | None = None
    """Conditions on the items."""
    candidates: Int[np.ndarray, " candidates"] | None = None
    """Rows to rank; None ranks the whole catalogue."""
    exclude: Int[np.ndarray, " excluded"] = field(default_factory=lambda: _NO_ROWS)
    """Rows to exclude."""
    exclude_seen: bool = True
    """Whether to exclude the items of the history."""
    diversity: float = 0.0
    """From 0 (by score alone) to 1 (as different as possible):
    :func:`palate.inference.ranking.diversified`."""
    fallback: str | None = None
    """Fallback that this request stands for: ``titles`` where titles are matched because the model
    was not trained to search."""
    user_id: str | None = None
    """User id for records of answers; the engine does not read it."""

    @property
    def pool(self) -> int:
        """Number of best items from which the list is made."""
        return self.n if self.diversity <= 0 else max(_POOL * self.n, 50)

    @property
    def left_out(self) -> Int[np.ndarray, " rows"]:
        """Rows that are excluded whatever their score."""
        if not self.exclude_seen:
            return self.exclude
        if not len(self.exclude):
            return self.history.item_rows
        return np.concatenate([self.history.item_rows, self.exclude])

    @property
    def worded(self) -> tuple[object, ...]:
        """Key of the prompt's wording, without the context."""
        slots = tuple(sorted(self.slots.items())) if self.slots else ()
        return self.family, self.prompt, self.wording, slots


@dataclass(frozen=True, slots=True)
class Understood:
    """What was understood of a prompt in free words."""

    parts: tuple[Part, ...]
    """Conditions and words, in no order; empty where the list is the same as without the prompt."""
    unknown: tuple[str, ...]
    """Words that nothing in the catalogue has."""
    fitting: int | None
    """How many items meet all conditions; the closest of the others follow them. None where
    nothing was understood."""

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "parts": [part.to_json() for part in self.parts],
            "unknown": list(self.unknown),
            "fitting": self.fitting,
        }

    def __str__(self) -> str:
        """Return it as one line for people."""
        wanted = [f"{part.kind} {part.name}" for part in self.parts if not part.avoided]
        avoided = [f"no {part.kind} {part.name}" for part in self.parts if part.avoided]
        said = ", ".join([*wanted, *avoided])
        unknown = f"; not known: {', '.join(self.unknown)}" if self.unknown else ""
        if not self.parts:
            return f"nothing of the prompt was understood, the list is the usual one{unknown}"
        return f"understood: {said}; {self.fitting} items fit{unknown}"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The best items, best first; fewer than requested only if fewer are allowed."""

    rows: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    version: str
    """Identifies the content of the model that answered."""
    fallback: str | None = None
    """``popular`` or ``cold-start`` where the user has no known history and the request needs
    one; ``titles`` where titles were matched; ``base`` where a prompted model gave no answer and
    this is its base's list; None where the model answered the request itself."""
    understood: Understood | None = None
    """What was understood of a prompt in free words; None without one."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One event of the history, and by how much the item's score falls without it."""

    event: int
    """Position in the history, 0 is the oldest."""
    weight: float
