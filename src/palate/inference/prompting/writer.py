"""From a customer and some candidates to the messages of a prompt."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from palate.data.dataset import Dataset
from palate.inference.catalogue_state import CatalogueState
from palate.inference.item_view import ItemView
from palate.inference.prompting.examples import NearestHistories, WorkedExample
from palate.inference.prompting.shown import LETTERS, Shown, domain_of
from palate.inference.prompting.texts import filled
from palate.llm.request import Message, SpeakerRequest
from palate.llm.untrusted import untrusted, without_marks
from palate.training.system import PromptedSystem
from palate.types import History

AnswerKind = Literal["letters", "pair", "marks", "indices", "titles", "say"]
"""What an answer is."""

MARKS = ("1", "2", "3", "4", "5")
_QUESTIONS: Mapping[AnswerKind, str] = {
    "letters": "choose",
    "pair": "pair",
    "marks": "mark",
    "indices": "rank",
    "titles": "title",
    "say": "title",
}
_LETTER_TOKENS = 16
"""A letter in JSON, where a server can be bound by nothing else."""
_INDEX_TOKENS = 6
_LONGEST_WISH = 500
_LONGEST_THOUGHT = 2_000


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked about: a customer and the base's list."""

    history: History
    wish: str
    """What the customer says in free words; empty where nothing."""
    rows: Int[np.ndarray, " items"]
    """The base's list, best first."""
    scores: Float[np.ndarray, " items"]
    """Its scores."""
    seed: int
    """Of the orders; equal questions have equal seeds, so that a run that goes on asks the same."""


@dataclass(frozen=True)
class Question:
    """A prompt, and which of its choices stands for each candidate that it shows."""

    request: SpeakerRequest
    choice_of: tuple[int, ...] = ()
    """Items of one title share a choice; empty where there are no choices."""


@dataclass(frozen=True)
class Thoughts:
    """What the model said before it was asked for an answer."""

    profile: str = ""
    reasoning: str = ""


class Writer:
    """Writes the prompts of one prompted system."""

    def __init__(self, system: PromptedSystem, dataset: Dataset) -> None:
        """Take the system and the data of its base."""
        self._settings, self._prompts, self._dataset = system.settings, system.prompts, dataset
        types = dataset.interactions.event_types
        self._shown = Shown(system.settings.describe, types, self._best_rating)
        self._examples = NearestHistories(dataset, system.settings.seed)

    def question(
        self,
        state: CatalogueState,
        asked: Asked,
        shown: Sequence[int],
        kind: AnswerKind,
        thoughts: Thoughts,
    ) -> Question:
        """Return the question about the candidates at the places ``shown`` of the base's list."""
        views = [state.views[row] for row in asked.rows[list(shown)].tolist()]
        turns = [
            turn
            for example in self._worked(asked, kind)
            for turn in self._example(state, example, kind)
        ]
        customer = self.customer(state, asked, thoughts.profile)
        messages = [*self._system, *turns, *self._last(customer, views, kind, thoughts)]
        return self._bound(tuple(messages), views, kind)

    def profile_request(self, state: CatalogueState, asked: Asked) -> SpeakerRequest:
        """Return the question for keywords about a customer."""
        text = _joined(self.customer(state, asked, ""), self._prompts["profile"])
        return self._free(text, self._settings.profile_tokens)

    def reasoning_request(
        self, state: CatalogueState, asked: Asked, profile: str
    ) -> SpeakerRequest:
        """Return the question for thoughts, before that for an answer."""
        text = _joined(self.customer(state, asked, profile), self._prompts["reason"])
        return self._free(text, self._settings.reasoning)

    def customer(self, state: CatalogueState, asked: Asked, profile: str) -> str:
        """Return what the prompt says of a customer: history, profile, wish."""
        history = asked.history.last(self._settings.history)
        views = [state.views[row] for row in history.item_rows.tolist()]
        known: str = profile and untrusted(profile, max_length=_LONGEST_WISH)
        if self._settings.profile == "facts":
            known = self._shown.facts(history, views)
        wish = asked.wish and untrusted(asked.wish, max_length=_LONGEST_WISH)
        return _joined(
            self._history(history, views),
            filled(self._prompts["known"], profile=known) if known else "",
            filled(self._prompts["wish"], wish=wish) if wish else "",
        )

    # --- parts ----------------------------------------------------------------------------------

    def _history(self, history: History, views: Sequence[ItemView]) -> str:
        if not views:
            return self._prompts["nobody"]
        style = self._settings.history_style if len(views) > 1 else "sequential"
        earlier = history.take(slice(0, -1))
        return filled(
            self._prompts[style],
            history=self._shown.events(history, views),
            earlier=self._shown.events(earlier, views[:-1]),
            last=self._shown.item(views[-1]),
        )

    def _asking(self, views: Sequence[ItemView], kind: AnswerKind) -> str:
        text = self._prompts[_QUESTIONS[kind]]
        if kind in ("titles", "say"):
            return text
        if kind == "indices":
            top = min(self._settings.top or len(views), len(views))
            told = f"the best {top}" if top < len(views) else f"all {len(views)}"
            return filled(text, candidates=self._shown.numbered(views), top=told)
        if kind == "marks":
            return filled(text, candidates=f"- {self._shown.item(views[0])}")
        return filled(text, candidates=self._shown.lettered(views))

    def _last(
        self, customer: str, views: Sequence[ItemView], kind: AnswerKind, thoughts: Thoughts
    ) -> list[Message]:
        question = self._asking(views, kind)
        if not thoughts.reasoning:
            return [Message("user", _joined(customer, question))]
        thought = without_marks(thoughts.reasoning[:_LONGEST_THOUGHT])
        return [
            Message("user", _joined(customer, self._prompts["reason"])),
            Message("assistant", thought),
            Message("user", _joined(self._prompts["reasoned"], question)),
        ]

    def _bound(
        self, messages: tuple[Message, ...], views: Sequence[ItemView], kind: AnswerKind
    ) -> Question:
        if kind == "indices":
            schema, tokens = schema_of_indices(len(views), self._settings.top), _INDEX_TOKENS
            most = 2 * tokens + tokens * len(views)
            return Question(SpeakerRequest(messages, schema=schema, max_tokens=most))
        if kind == "say":
            return Question(SpeakerRequest(messages, max_tokens=self._settings.say_tokens))
        answers: Sequence[str] = MARKS if kind == "marks" else LETTERS[: len(views)]
        if kind == "titles":
            answers = [self._shown.title(view) for view in views]
        choices = tuple(dict.fromkeys(answers))
        request = SpeakerRequest(
            messages, choices=choices, scored=True, form_is_told=True, max_tokens=_LETTER_TOKENS
        )
        return Question(request, tuple(map(choices.index, answers)))

    def _free(self, text: str, max_tokens: int) -> SpeakerRequest:
        return SpeakerRequest((*self._system, Message("user", text)), max_tokens=max_tokens)

    @cached_property
    def _system(self) -> tuple[Message, ...]:
        role = self._settings.role
        if not role:
            return ()
        text = filled(self._prompts[role], domain=domain_of(self._dataset.catalog))
        return (Message("system", text),)

    @property
    def _best_rating(self) -> float | None:
        ratings = self._dataset.interactions.ratings
        if ratings is None or np.isnan(ratings).all():
            return None
        return float(np.nanmax(ratings))

    # --- examples -------------------------------------------------------------------------------

    def _worked(self, asked: Asked, kind: AnswerKind) -> list[WorkedExample]:
        shown = 2 if kind in ("pair", "marks") else self._settings.example_candidates
        return self._examples.examples(asked.history, self._settings.examples, shown=shown)

    def _example(
        self, state: CatalogueState, example: WorkedExample, kind: AnswerKind
    ) -> tuple[Message, Message]:
        rows, answer = example.item_rows, example.answer
        if kind == "marks":
            # The true item or the other, whichever was drawn first: good marks and bad ones.
            rows, answer = rows[:1], 0 if answer == 0 else -1
        views = [state.views[row] for row in rows.tolist()]
        of = Asked(example.history, "", rows, np.zeros(len(rows)), 0)
        question = _joined(self.customer(state, of, ""), self._asking(views, kind))
        return Message("user", question), Message("assistant", self._said(views, answer, kind))

    def _said(self, views: Sequence[ItemView], answer: int, kind: AnswerKind) -> str:
        if kind == "marks":
            return MARKS[-1] if answer == 0 else MARKS[0]
        if kind in ("titles", "say"):
            return self._shown.title(views[answer])
        if kind == "indices":
            others = [n for n in range(len(views)) if n != answer]
            ranking = [n + 1 for n in (answer, *others)]
            top = self._settings.top or len(ranking)
            return json.dumps({"ranking": ranking[:top]})
        return LETTERS[answer]


def schema_of_indices(candidates: int, top: int) -> Mapping[str, object]:
    """Return the schema of a list of the numbers 1 to ``candidates``, at most ``top`` if not 0."""
    number = {"type": "integer", "minimum": 1, "maximum": candidates}
    most = min(top or candidates, candidates)
    ranking = {"type": "array", "items": number, "minItems": 1, "maxItems": most}
    return {"type": "object", "properties": {"ranking": ranking}}


def _joined(*blocks: str) -> str:
    return "\n\n".join(block for block in blocks if block)
