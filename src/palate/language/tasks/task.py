"""Task: the base class of all families of prompts, and the examples that they return.

A family is a file beside this one and an entry in ``FAMILIES`` (:mod:`palate.language.tasks`). Its
class defines name and wordings, what it needs of the data, its prompts and target answers, the
token cost of an example, and how answers are evaluated. A task never touches tensors or tokens:
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
"""How answers are evaluated on held-out events: error of the rating, probability of *yes*, chosen
candidate, correct title, groundedness of the explanation, or similarity to the true text."""

MAX_CONTEXT_TOKENS = 128
"""Maximum context length: the start of a review shows its subject, and text is untrusted."""

TITLE_TOKENS = MAX_TITLE_WORDS + 2
"""Approximate number of tokens of a title as an answer."""

SENTENCE_TOKENS = 24
"""Approximate number of tokens of a one-sentence answer."""

_ROW_TOKENS = 8
"""Tokens that a row is counted with besides its events when batches are formed."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence: context words, then events, and predictions at several prefix lengths."""

    history: History
    prefix_lengths: Int[np.ndarray, " predictions"]
    """How many events each prediction sees."""
    targets: Int[np.ndarray, "predictions targets"]
    """Rows of the target items of each prediction, padded with -1."""
    context: str = ""
    """Text of this example (a query, a category), read before the events."""
    query: int | None = None
    """Index of the query in the pool; its text vector is read after the context."""
    without_id: bool = False
    """Encode every item as a new one: from its content alone."""
    candidates: Int[np.ndarray, "predictions candidates"] | None = None
    """Rows of the candidate items of each prediction, padded with -1; read after the events."""
    target_texts: Sequence[str] = ()
    """Target text of each prediction; empty where items are the targets, and at inference."""
    hidden: Int[np.ndarray, " events"] | None = None
    """Index of the blank that hides each event, -1 where it is visible; the events of a blank are
    adjacent. Their words are the target text."""
    gap: int | None = None
    """Character offset of a blank in the context."""

    def with_one_prefix(self, rng: np.random.Generator) -> "Example":
        """Return the example as one of its predictions sees it, without later events."""
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
class Frame:
    """What a prompt in text says around the parts of an example."""

    context: str = "Text"
    """Label of the context."""
    history: bool = True
    """Whether the prompt speaks of the user's history."""
    candidate: str = "Item"
    """Label of a single candidate."""
    candidates: str = "Candidates"
    """Label of several candidates."""
    cue: str = ""
    """What the answer should be, said at the end; empty where items are the answer."""
    dates: bool = False
    """Whether the months of events are said, where their times are known."""


PLAIN_FRAME = Frame()
"""Of prompts in a user's own words."""


@dataclass(frozen=True)
class HeldOut:
    """One held-out event, with the history before it."""

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
        """Its index in the events of the dataset."""
        assert self.event.places is not None
        return int(self.event.places[0])


@dataclass(frozen=True)
class Wordings:
    """The wordings of one task."""

    seen: tuple[str, ...]
    """Wordings used in training."""
    unseen: tuple[str, ...] = ()
    """Wordings kept out of training, to measure how answers depend on the wording."""


@dataclass(frozen=True)
class TokenCost:
    """Number of tokens of an example, its predictions included."""

    per_event: int
    per_row: int = _ROW_TOKENS


class TaskSettings(BaseModel):
    """Settings of a recipe that all its tasks share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    like_above: float | None = None
    """Ratings above it count as liked; None predicts the next item instead of liking."""
    candidates: int = Field(default=20, ge=2)
    """Number of candidates of a choice."""
    max_history: int = Field(default=50, ge=1)
    """Maximum history length: the newest events; in training a random window of that length."""
    queries_per_item: int = Field(default=3, ge=1)


class Task(ABC):
    """A family of prompts; an instance is the family over the data of one run.

    Subclasses are frozen dataclasses. Families behind a verb also have a method ``ask``, which
    makes the prompt without the answer. ``example`` and ``held_out`` add the answer to that prompt,
    so that inference and training use the same prompt.
    """

    name: ClassVar[str]
    """Name; the key of its share in a recipe is the same with underscores."""
    formerly: ClassVar[str] = ""
    """Former name, for the hint of the error about an unknown name."""
    description: ClassVar[str]
    """One sentence about the question."""
    answered_with: ClassVar[Literal["items", "words"]]
    wordings: ClassVar[Wordings] = Wordings(())
    """Wordings; none where it uses those of another family (see :attr:`wording_family`)."""
    slot_names: ClassVar[frozenset[str]] = frozenset()
    """The slots of its wordings."""
    reads_context: ClassVar[bool] = False
    """Whether its examples have a context (a query, a review) before the history."""
    context_label: ClassVar[str] = "Text"
    """Name of the context in prompts in text."""
    reads_history: ClassVar[bool] = True
    """Whether its prompts are about a user with a history, which may be empty."""
    reads_dates: ClassVar[bool] = False
    """Whether its prompts in text say when the events happened."""
    cue: ClassVar[str] = ""
    """What the answer should be, said at the end of a prompt in text."""
    needs_history: ClassVar[bool] = False
    """Whether it needs at least one event in the history."""
    pretraining: ClassVar[bool] = False
    """Whether its words enter the vocabulary only in recipes that pre-train on it."""
    uses_queries: ClassVar[bool] = False
    """Whether its examples use queries of the pool."""
    history_format: ClassVar[tuple[ItemPart, ...]] = ()
    """Item format of its histories; empty means the format of the recipe."""
    to_do: ClassVar[str] = ""
    """Ability of a trained model, as a verb phrase: 'predict ratings'."""
    shown_by: ClassVar[str] = ""
    """Data that is needed to train on it: 'ratings'."""
    judged_by: ClassVar[Judging | None] = None
    """How answers are evaluated; None where held-out events cannot do so."""
    title: ClassVar[str] = ""
    """Verb for the title of an evaluation, after the model's name: 'rates'."""

    max_history: int
    """Maximum number of events of a history."""

    @property
    def wording_family(self) -> str:
        """Name of the family whose wordings it uses; its own unless it borrows them."""
        return self.name

    @property
    def frame(self) -> Frame:
        """What its prompts in text say around the parts of an example."""
        return Frame(self.context_label, self.reads_history, cue=self.cue, dates=self.reads_dates)

    @classmethod
    @abstractmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Task | None":
        """Return the task over the data; None where the data lacks what it needs."""

    @classmethod
    def slot_choices(cls, dataset: Dataset) -> Mapping[str, Sequence[str]]:
        """Return the possible values of each slot, the default first."""
        return {}

    def slots(self, rng: np.random.Generator) -> Slots:
        """Choose random values of the slots, shared by a batch."""
        return {}

    @abstractmethod
    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Return an example made from one user's training events; None where none is possible."""

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Return the prompt about a held-out event, with the true answer; None without one.

        Args:
            event: the event, and the history before it.
            reviews: of the part held out, where it has reviews.
            rng: draws candidates and negatives.
        """
        return None

    def token_cost(self, item_format: ItemFormat, slots: int) -> TokenCost:
        """Return the token cost of an example.

        Args:
            item_format: the item format.
            slots: tokens per prediction that is answered with items.
        """
        if self.answered_with == "words":
            return TokenCost(item_format.places, SENTENCE_TOKENS)
        return TokenCost(item_format.places + slots)

    def plain_answers(
        self, material: Material, events: Sequence[HeldOut], examples: Sequence[Example]
    ) -> Mapping[str, Sequence[str]]:
        """Return the answers of simple baselines without a model, by the name of each baseline.

        Args:
            material: of the training data.
            events: the held-out events.
            examples: the prompt of each event.
        """
        return {}

    def judged_parts(self, text: str) -> Mapping[str, str]:
        """Return the parts of an answer that are compared for equality, by metric name."""
        return {}
