"""Steering: a prompt in free words becomes a wish, and a wish moves a user's list.

The words are read in the catalogue's terms (:mod:`palate.language.wishes.reading`). What is strict
(categories, brands, prices, attributes, what is not wanted) decides which items come first; what is
not (other words, likeness) shifts their scores; the user's own scores decide among them::

    prompt --read--> wish --+--> scores of the next item      --+--> mixed --> moved --> list
                            +--> scores of the wish's own task -+             |
                            +--> conditions, words, likeness -----------------+
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from palate.inference.capabilities import Capabilities
from palate.inference.catalogue_state import CatalogueState
from palate.inference.model_folder import TrainedModel
from palate.inference.ranking import scores_of_all
from palate.inference.request import NOBODY, Request, Understood
from palate.inference.user_state import UserState
from palate.inference.wish_index import WishIndex, WishIndexes
from palate.language.prompts import load_prompts
from palate.language.tasks import prompt_families, usual_slots
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.wish import Wished
from palate.language.wishes.reading import MAX_TEXT, Part, Reading
from palate.training.system import Steering

_MEANING = Part("meaning", "what the words mean")


@dataclass(frozen=True, eq=False)
class Asked:
    """A request with a wish, as the requests that the model answers, and what was understood."""

    plain: Request
    """What the user would get without the wish, among the items that the list may hold."""
    worded: Request | None
    """The same question with the wish for the model to read; None where it does not."""
    reading: Reading
    index: WishIndex
    meant: Float[np.ndarray, " dim"] | None
    """Text vector of the wish; None without one."""
    understood: Understood
    history: Int[np.ndarray, " events"]
    """Rows of the user's items, also where the wish is for somebody else."""
    moves: bool
    """Whether the scores of the items are moved."""


class Steerer:
    """Reads wishes and moves scores by them."""

    def __init__(self, trained: TrainedModel, capabilities: Capabilities) -> None:
        """Take a trained system and what it can answer."""
        self._trained, self._capabilities = trained, capabilities
        self._indexes = WishIndexes(trained)

    @property
    def weights(self) -> Steering:
        """How much the parts of a wish weigh."""
        model = self._trained.language_model
        return Steering() if model is None else model.steering

    def wishes(self, request: Request) -> bool:
        """Return whether the prompt of a request is a wish.

        A wording of the model's own prompts is an instruction, which the model reads as it is.
        """
        if request.prompt is None or not request.steer:
            return False
        return request.prompt not in self._wordings

    def asked(self, state: CatalogueState, request: Request, *, read: bool = False) -> Asked:
        """Return what a wish asks of the model; without anything understood, the plain question.

        Args:
            state: the catalogue.
            request: with a wish.
            read: whether the model reads the wish, also where its weights give that no share.
        """
        index, text = self._indexes.at(state), (request.prompt or "")[:MAX_TEXT]
        reading = index.read(text)
        meant = self._indexes.vector(reading.content)
        plain, history = self._plain(request), request.history.item_rows
        parts = reading.parts
        if reading.wish.says_nothing:
            if not index.means_something(meant):
                nothing = Understood((), reading.unknown, None)
                return Asked(plain, None, reading, index, None, nothing, history, moves=False)
            parts = (_MEANING,)
        if reading.wish.for_other:
            plain = replace(plain, history=NOBODY, exclude=request.left_out)
        allowed = index.allowed(reading, history) & state.allowed(request.filter)
        understood = Understood(parts, reading.unknown, int(allowed.sum()))
        if self._form(request) != "set":
            plain = _among(plain, np.flatnonzero(allowed))
            return Asked(plain, None, reading, index, None, understood, history, moves=False)
        return Asked(
            plain,
            self._worded(plain, text, reading) if read or self.weights.model > 0 else None,
            reading,
            index,
            meant,
            understood,
            history,
            moves=True,
        )

    def user(
        self,
        state: CatalogueState,
        asked: Asked,
        plain: UserState,
        worded: UserState | None,
        weights: Steering | None = None,
    ) -> UserState:
        """Return the state of a user whose scores are moved by a wish."""
        if not asked.moves:
            return plain
        weights = weights or self.weights
        scores = scores_of_all(state, [plain])[0]
        if worded is not None:
            share = np.float32(weights.model)
            scores = (1 - share) * scores + share * scores_of_all(state, [worded])[0]
        moved = asked.index.steered(
            scores,
            asked.reading,
            asked.history,
            asked.meant,
            weights,
            state.allowed(asked.plain.filter),
        )
        fallback = None if asked.reading.wish.for_other else plain.fallback
        return UserState(None, moved.astype(np.float32, copy=False), fallback)

    def _worded(self, plain: Request, text: str, reading: Reading) -> Request | None:
        if Wished.name not in self._capabilities.tasks:
            return None
        return replace(plain, family=Wished.name, slots={}, context=text, meaning=reading.content)

    def _plain(self, request: Request) -> Request:
        """Return the request without its words: the next item, or what the model answers first."""
        tasks = self._capabilities.tasks
        family = NextItem.name
        if tasks and family not in tasks and self._form(request) != "titles":
            family = tasks[0]
        slots = usual_slots(family, self._trained.dataset) if family in prompt_families() else {}
        return replace(request, prompt=None, family=family, slots=slots, context="", wording=0)

    def _form(self, request: Request) -> str:
        return request.form or next(iter(self._capabilities.forms), "set")

    @cached_property
    def _wordings(self) -> frozenset[str]:
        """Wordings of the model's families with all values of their slots."""
        model = self._trained.language_model
        prompts = load_prompts() if model is None else model.prompts
        found = set()
        for name, family in prompt_families().items():
            if name not in prompts:
                continue
            choices = family.slot_choices(self._trained.dataset)
            for values in product(*choices.values()):
                slots = dict(zip(choices, values, strict=True))
                if family.slot_names.issubset(slots):
                    wordings = prompts[name].seen + prompts[name].unseen
                    found |= {wording.format(**slots) for wording in wordings}
        return frozenset(found)


def _among(request: Request, rows: Sequence[int] | Int[np.ndarray, " rows"]) -> Request:
    """Return the request among some items only; unchanged where none of them may be answered."""
    if request.candidates is not None:
        rows = np.intersect1d(rows, request.candidates)
    rows = np.setdiff1d(rows, request.left_out)
    return replace(request, candidates=rows) if len(rows) else request
