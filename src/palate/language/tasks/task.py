"""What a task is: a family of prompts, all of it in one class.

A family is a file beside this one and an entry in ``FAMILIES`` (:mod:`palate.language.tasks`). Its
class says how it is called and worded, what it needs of the data, what it asks and what answers
that, what an example costs, and how its answers are judged. A task never touches tensors or tokens:
it returns an :class:`Example`, and :mod:`palate.language.batch` lays examples out.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int
from pydantic import BaseModel, ConfigDict, Field

from palate.data.dataset import Dataset
from palate.language.item_format import MAX_TITLE_WORDS, ItemFormat, ItemPart
from palate.language.tasks.material import Material
from palate.language.text.reviews import Reviews
from palate.types import History

Slots = Mapping[str, str]
"""Values for the {slots} of a wording."""

Judging = Literal["rating", "yes-no", "choice", "title", "explanation", "text"]
"""How answers are judged on held-out events: by the error of a rating, by the probability of *yes*,
by the candidate that is chosen, by whether a title is the right one, by how grounded an explanation
is, or by how near any text is to the true one."""

MAX_CONTEXT_TOKENS = 128
"""Longer contexts are cut: the start of a review says what it is about, and text is untrusted."""

TITLE_TOKENS = MAX_TITLE_WORDS + 2
"""Places that a title takes as an answer, roughly."""

SENTENCE_TOKENS = 24
"""Places that an answer of one sentence takes, roughly."""

_ROW_TOKENS = 8
"""Places that a row is counted with beside its events when batches are cut."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence to learn from: words, then events, read by predictions at several cut points."""

    history: History
    prefix_lengths: Int[np.ndarray, " predictions"]
    """How many events each prediction sees."""
    targets: Int[np.ndarray, "predictions targets"]
    """Rows of the items that answer each prediction, padded with -1."""
    context: str = ""
    """Words of this example alone (a query, a category), read before the events."""
    query: int | None = None
    """Number of the query in the pool, whose text vector is read after the context."""
    without_id: bool = False
    """Show every item as if it were new: by its content alone."""
    candidates: Int[np.ndarray, "predictions candidates"] | None = None
    """Rows of the items asked about at each prediction, padded with -1: read after the events."""
    target_texts: Sequence[str] = ()
    """Words that answer each prediction; none where items answer. At inference they are empty."""
    hidden: Int[np.ndarray, " events"] | None = None
    """Number of the blank that hides each event, -1 where it is shown; the events of a blank stand
    side by side. Their words are the answer."""
    gap: int | None = None
    """How many characters of the context stand before a blank in it."""

    def with_one_prefix(self, rng: np.random.Generator) -> "Example":
        """Return the example as one of its cut points sees it: what comes later is left out."""
        cut = int(self.prefix_lengths[rng.integers(len(self.prefix_lengths))])
        same = np.flatnonzero(self.prefix_lengths == cut)
        return replace(
            self,
            history=self.history.take(slice(0, cut)),
            prefix_lengths=self.prefix_lengths[same],
            targets=self.targets[same],
            candidates=None if self.candidates is None else self.candidates[same],
            target_texts=[self.target_texts[prediction] for prediction in same.tolist()]
            if self.target_texts
            else (),
        )


@dataclass(frozen=True)
class HeldOut:
    """One event that a model has not seen, with the history before it."""

    before: History
    event: History
    """A single event."""

    @property
    def item_row(self) -> int:
        """The item of the event."""
        return int(self.event.item_rows[0])

    @property
    def rating(self) -> float | None:
        """Its rating; None where there is none."""
        ratings = self.event.ratings
        return None if ratings is None or np.isnan(ratings[0]) else float(ratings[0])

    @property
    def place(self) -> int:
        """Its place in the dataset."""
        assert self.event.places is not None
        return int(self.event.places[0])


@dataclass(frozen=True)
class Wordings:
    """The ways to say one task."""

    seen: tuple[str, ...]
    """Trained on."""
    unseen: tuple[str, ...] = ()
    """Never trained on: for measuring how answers move with the wording."""


@dataclass(frozen=True)
class TokenCost:
    """Places of the stream that an example takes, its predictions included."""

    per_event: int
    per_row: int = _ROW_TOKENS


class TaskSettings(BaseModel):
    """What a recipe sets of all its tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    like_above: float | None = None
    """Ratings above it mean yes; None asks for the next item in place of the liked one."""
    candidates: int = Field(default=20, ge=2)
    """Items to choose one from."""
    max_history: int = Field(default=50, ge=1)
    """Events read at most, the newest; in training a random window of that length."""
    queries_per_item: int = Field(default=3, ge=1)


class Task(ABC):
    """A family of prompts; an instance is the family over the data of one run.

    Subclasses are frozen dataclasses. Those that a verb asks by have a method ``ask`` beside what
    is named here, which makes the prompt without the answer: ``example`` and ``held_out`` put the
    answer into what it returns, so that asking and training cannot differ.
    """

    name: ClassVar[str]
    """What it is called; a recipe calls its share the same with underscores."""
    formerly: ClassVar[str] = ""
    """What it was called before: whoever says that is told the new name."""
    description: ClassVar[str]
    """What is asked, in a sentence."""
    answered_with: ClassVar[Literal["items", "words"]]
    wordings: ClassVar[Wordings] = Wordings(())
    """How it is said; none where it is said as another family (see :attr:`asked_as`)."""
    slot_names: ClassVar[frozenset[str]] = frozenset()
    """The slots of its wordings."""
    reads_context: ClassVar[bool] = False
    """Whether words of the case at hand (a query, a review) are read before the history."""
    needs_history: ClassVar[bool] = False
    """Whether it asks nothing of somebody without events."""
    pretraining: ClassVar[bool] = False
    """Whether only recipes that pre-train on it know its words."""
    uses_queries: ClassVar[bool] = False
    """Whether its examples hold queries of the pool."""
    told_by: ClassVar[tuple[ItemPart, ...]] = ()
    """How items stand in its histories, whatever the recipe says; none: as the recipe says."""
    to_do: ClassVar[str] = ""
    """What a model that was trained on it can do: 'predict ratings'."""
    shown_by: ClassVar[str] = ""
    """What data has to hold to teach it: 'ratings'."""
    judged_by: ClassVar[Judging | None] = None
    """How answers are judged; None where nothing held out can judge them."""
    title: ClassVar[str] = ""
    """What a model does that is judged, after its name: 'rates'."""

    max_history: int
    """How many events of a user it reads at most."""

    @property
    def asked_as(self) -> str:
        """The family by whose wordings it is asked: its own, but for those that borrow them."""
        return self.name

    @classmethod
    @abstractmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Task | None":
        """Return the task over the data; None where the data has nothing for it."""

    @classmethod
    def slot_choices(cls, dataset: Dataset) -> Mapping[str, Sequence[str]]:
        """Return what may stand in each slot, the usual value first."""
        return {}

    def slots(self, rng: np.random.Generator) -> Slots:
        """Choose the values of the wording's slots, shared by a batch."""
        return {}

    @abstractmethod
    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Return an example made from one user's training events; None where they offer none."""

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Return what is asked of an event held out, with the true answer; None without one.

        Args:
            event: the event, and the history before it.
            reviews: of the part held out, where it has reviews.
            rng: draws candidates and negatives.
        """
        return None

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Return the places that an example takes.

        Args:
            item_format: how items are written.
            slots: places at each prediction that items answer.
        """
        if self.answered_with == "words":
            return TokenCost(item_format.places, SENTENCE_TOKENS)
        return TokenCost(item_format.places + slots)

    def plain_answers(
        self, material: Material, events: Sequence[HeldOut], examples: Sequence[Example]
    ) -> Mapping[str, Sequence[str]]:
        """Return what can be said without a model, by the name of each way: baselines of a text.

        Args:
            material: what was there in training.
            events: those held out.
            examples: what is asked of each.
        """
        return {}

    def judged_parts(self, text: str) -> Mapping[str, str]:
        """Return what of an answer is to be equal to the true answer, by the name of its figure."""
        return {}
