"""The engine: requests in, lists of items and texts out, over a catalogue that changes.

There is one. Python, the command line, HTTP and MCP turn ids into rows and rows into ids, each at
its own edge; what is answered is decided here.

A request becomes a :class:`~palate.inference.history_encoder.Plan` (who answers it, with which
fallback), then a :class:`~palate.inference.user_state.UserState` (the history, encoded, which is
kept for whoever asks again), and then a list (scores, filters, top n).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from palate.data.dataset import Dataset
from palate.errors import NotTrainedError
from palate.inference.capabilities import FORMS, Capabilities
from palate.inference.catalogue import ItemCatalogue
from palate.inference.catalogue_state import CatalogueState
from palate.inference.grounded_answers import GroundedAnswers
from palate.inference.history_encoder import HistoryEncoder
from palate.inference.item_encoder import ItemEncoder
from palate.inference.model_folder import TrainedModel, load_versioned
from palate.inference.ranking import nearest, rank, scores_of_all
from palate.inference.reasons import reasons
from palate.inference.request import Answer, Reason, Request
from palate.inference.text_answers import TextAnswers
from palate.inference.text_results import Explained, Rated
from palate.inference.title_search import TitleSearch
from palate.inference.user_state import CacheCounts, UserState, UserStateCache, fingerprint
from palate.language.tasks.choice import Choice
from palate.language.tasks.yes_no import YesNo
from palate.models.device import Device
from palate.training.system import Blend, LanguageModelSystem
from palate.types import History, Ranking

__all__ = ["Answer", "Engine", "Reason", "Request"]

_CACHE_BYTES = 128_000_000
_AT_ONCE = 512
"""Requests whose user states are in memory together, where nobody waits for the others."""
_TITLES = 500
"""Items found by their titles, among which the model puts the best first."""


class Engine:
    """A trained system that answers; safe to ask from several threads while items change."""

    def __init__(
        self,
        trained: TrainedModel,
        version: str = "",
        *,
        forms: Collection[str] = FORMS,
        cache_bytes: int = _CACHE_BYTES,
    ) -> None:
        """Compute the vectors of the catalogue once.

        Args:
            trained: the system with its dataset.
            version: names its content.
            forms: in which it may be asked (see :class:`Capabilities`).
            cache_bytes: memory for the user states that were used last.
        """
        self.trained, self.version = trained, version
        self.capabilities = Capabilities(trained, forms)
        self._parts = trained.system if isinstance(trained.system, LanguageModelSystem) else None
        if self._parts is not None:
            self._parts.model.train(mode=False)
        items = None if self._parts is None else ItemEncoder(self._parts)
        self.catalogue = ItemCatalogue(trained.dataset.catalog, items)
        """The items by id and by row, and their changes."""
        self._texts = (
            None
            if self._parts is None or self._parts.model.text is None
            else GroundedAnswers(trained, self._parts)
        )
        titles = None if self._texts is None else TitleSearch(self._texts)
        self._histories = HistoryEncoder(trained, titles)
        self._cache = UserStateCache(cache_bytes)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: Device | None = None,
        forms: Collection[str] = FORMS,
        cache_bytes: int = _CACHE_BYTES,
    ) -> "Engine":
        """Read a model folder, onto ``device``; None is a GPU where there is one.

        Raises:
            ArtifactError: when the folder is not a model, or is damaged.
        """
        trained, version = load_versioned(folder, device)
        return cls(trained, version, forms=forms, cache_bytes=cache_bytes)

    # --- What it is

    @property
    def name(self) -> str:
        """What a person calls the model."""
        return self.trained.name

    @property
    def dataset(self) -> Dataset:
        """The catalogue, the users and the split it was trained on."""
        return self.trained.dataset

    @property
    def tasks(self) -> tuple[str, ...]:
        """The families of prompts that it answers with items; a baseline the next item alone."""
        return self.capabilities.tasks

    @property
    def forms(self) -> tuple[str, ...]:
        """The ways it can make an answer, the usual one first."""
        return self.capabilities.forms

    @property
    def cache(self) -> CacheCounts:
        """How the cache of user states is doing."""
        return self._cache.counts

    @property
    def work(self) -> int:
        """Multiplications of one answer whose user state is known."""
        model = None if self._parts is None else self._parts.model
        of_item = 1 if model is None else model.width * max(model.config.num_queries, 1)
        return len(self.catalogue) * of_item

    def describe(self) -> dict[str, object]:
        """Return what it can and cannot answer, as JSON values."""
        state = self.catalogue.state
        return self.capabilities.describe() | {
            "name": self.name,
            "version": self.version,
            "items": int((~state.deleted).sum()),
            "items_answered": len(state) - len(state.hidden_rows),
            "items_unreadable": int((~state.readable & ~state.deleted).sum()),
        }

    # --- Lists of items

    def check(self, request: Request) -> None:
        """Refuse what the system cannot answer.

        Raises:
            NotTrainedError: naming the recipes that can.
            ConfigError: when slots are missing or hold what the data does not know.
        """
        self.capabilities.check(request)

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return the answers, with one pass of the model for all that share a wording.

        Raises:
            NotTrainedError: when the system cannot answer one of them.
            ConfigError: when one of them is not put as its family asks.
        """
        for request in requests:
            self.check(request)
        state = self.catalogue.state
        answers: list[Answer] = []
        for start in range(0, len(requests), _AT_ONCE):
            some = requests[start : start + _AT_ONCE]
            answers += self._answers(state, some, self._states(state, some))
        return answers

    def answer_known(self, requests: Sequence[Request]) -> list[Answer | None]:
        """Return the answers that need no pass of the model, None for the others.

        The requests must have passed :meth:`check`.
        """
        state = self.catalogue.state
        users = self._cache.get([self._key(state, request) for request in requests])
        known = [place for place, user in enumerate(users) if user is not None]
        answers: list[Answer | None] = [None] * len(requests)
        made = self._answers(
            state, [requests[place] for place in known], [u for u in users if u is not None]
        )
        for place, answer in zip(known, made, strict=True):
            answers[place] = answer
        return answers

    def scores(self, requests: Sequence[Request]) -> Float[np.ndarray, "requests items"]:
        """Return the score of every item for each request, by vectors; nothing is left out.

        This is how a whole catalogue is ranked for an evaluation.
        """
        state = self.catalogue.state
        asked = [replace(request, form="set") for request in requests]
        plans = [self._histories.plan(state, request) for request in asked]
        if not plans:
            return np.zeros((0, len(state)), dtype=np.float32)
        return scores_of_all(state, self._histories.encode(state, plans))

    def try_blends(
        self, requests: Sequence[Request], blends: Sequence[Blend]
    ) -> list[list[Ranking]]:
        """Return the hybrid lists of all requests for each of several blends.

        Each history is encoded once: this is how the blend of a model is chosen.
        """
        state, lists = self.catalogue.state, [list[Ranking]() for _ in blends]
        for start in range(0, len(requests), _AT_ONCE):
            some = requests[start : start + _AT_ONCE]
            plans = [self._histories.plan(state, request) for request in some]
            users = self._histories.encode_for(state, plans, blends)
            for found, blended in zip(lists, users, strict=True):
                found += rank(state, some, blended)
        return lists

    def searching(self, words: str, request: Request) -> Request:
        """Return the request that finds items by words.

        A model that was not trained to search puts those items in order that have the words in
        their titles; the answer then says so in ``fallback``.
        """
        request = replace(request, exclude_seen=False)
        if "search" in self.tasks:
            return replace(request, family="search", context=words)
        found = self.catalogue.find_titles(words, _TITLES)
        return replace(request, candidates=found, fallback="titles")

    def search(self, words: str, request: Request | None = None) -> Answer:
        """Return the items that fit words, for the user and with the filters of ``request``.

        Raises:
            NotTrainedError: when the system answers with no items at all.
        """
        return self.answer([self.searching(words, request or Request())])[0]

    def similar(self, item_row: int, n: int) -> Answer:
        """Return the items most like one: by output vector, or as a baseline follows it.

        Raises:
            NotTrainedError: when the model knows nothing of the item, or no items apart.
        """
        state = self.catalogue.state
        if not state.readable[item_row] or not self.capabilities.compares_items:
            raise NotTrainedError(
                f"{self.name!r} cannot say what is like {state.views[item_row].item_id!r}.",
                hint="A language model can, by ID and content: palate train DATASET MODEL "
                "--recipe urm",
            )
        if self._parts is None:
            alone = Request(History(item_rows=np.asarray([item_row])), n)
            return self._answers(state, [alone], self._states(state, [alone]))[0]
        found = nearest(state, item_row, n)
        return Answer(found.item_rows, found.scores, self.version)

    # --- Reasons

    def why(self, history: History, item_row: int, n: int = 3) -> list[Reason]:
        """Return the ``n`` events without which the score of an item falls most."""
        return self.reasons(Request(history), [item_row], n)[0]

    def reasons(self, request: Request, item_rows: Sequence[int], n: int = 3) -> list[list[Reason]]:
        """Return, for each item, the ``n`` events of the request's history that weighed most.

        Measured by scoring again without each of the newest events, for all items in one pass.
        Where what is popular was answered, no event weighed anything.
        """
        rows = np.asarray(item_rows, dtype=np.int64)
        return reasons(self._histories, self.catalogue.state, request, rows, n)

    # --- Answers in words

    @property
    def texts(self) -> TextAnswers:
        """What the model answers in words, over the catalogue as it is now.

        Raises:
            NotTrainedError: when it answers nothing in words.
        """
        if self._texts is None:
            raise self.capabilities.wordless
        return self._texts.over(self.catalogue.state)

    def rate(self, history: History, item_row: int) -> Rated:
        """Return how somebody with this history rates an item.

        Raises:
            NotTrainedError: when the model was not trained to rate, or cannot read the item.
        """
        self.capabilities.check_words("rating")
        state = self.catalogue.state
        self._histories.events.check(state, np.asarray([item_row]))
        return self.texts.rate(self._histories.events.of(state, history), item_row)

    def explain(
        self, history: History, item_row: int, aspect: str = "", *, ground: bool = True
    ) -> Explained:
        """Return in words why an item fits somebody with this history, on an aspect if given.

        Sentences that claim what the catalogue does not bear out are left out unless ``ground`` is
        False.

        Raises:
            NotTrainedError: when the model was not trained to explain, or cannot read the item.
        """
        self.capabilities.check_words("explanation")
        state = self.catalogue.state
        self._histories.events.check(state, np.asarray([item_row]))
        known = self._histories.events.of(state, history)
        return self.texts.explain(known, item_row, aspect, ground=ground)

    def summarise(self, text: str) -> str:
        """Return a short title for a review.

        Raises:
            NotTrainedError: when the model was not trained to summarise.
        """
        self.capabilities.check_words("summary")
        return self.texts.summarise(text)

    def profile(self, history: History) -> str:
        """Return in a sentence what somebody with this history likes.

        Raises:
            NotTrainedError: when the model was not trained to describe users.
        """
        self.capabilities.check_words("profile")
        return self.texts.profile(self._histories.events.of(self.catalogue.state, history))

    def rank(
        self, history: History, item_rows: Int[np.ndarray, " candidates"] | Sequence[int]
    ) -> Ranking:
        """Return these items, best first for somebody with this history.

        The scores are what :attr:`ranked_by` says.

        Raises:
            NotTrainedError: when the model cannot read one of the items.
        """
        item_rows = np.asarray(item_rows, dtype=np.int64)
        in_words = {YesNo.name, Choice.name}.intersection(self.capabilities.in_words)
        if not in_words and self.forms:
            asked = Request(history, len(item_rows), candidates=item_rows, exclude_seen=False)
            (answer,) = self.answer([asked])
            return Ranking(answer.rows, answer.scores)
        state = self.catalogue.state
        self._histories.events.check(state, item_rows)
        return self.texts.rank(self._histories.events.of(state, history), item_rows)

    @property
    def ranked_by(self) -> str:
        """What the scores of :meth:`rank` are.

        Calibrated probabilities where the model was trained on yes or no; where it was trained to
        choose, what its choice among all of them gives to each; else those it recommends by.
        """
        if YesNo.name in self.capabilities.in_words:
            return "chance that each is chosen"
        if Choice.name in self.capabilities.in_words:
            return "share of the choice among them"
        return "scores as in recommend"

    # --- Inside

    def forget_user_states(self) -> None:
        """Drop everything made of histories: somebody asked to be forgotten."""
        self._cache.clear()

    def _states(self, state: CatalogueState, requests: Sequence[Request]) -> list[UserState]:
        """Return the user state of each request, encoding the histories that are not known."""
        keys = [self._key(state, request) for request in requests]
        found = self._cache.get(keys)
        missing = {key: place for place, key in enumerate(keys) if found[place] is None}
        if not missing:
            return [user for user in found if user is not None]
        plans = [self._histories.plan(state, requests[place]) for place in missing.values()]
        made = dict(zip(missing, self._histories.encode(state, plans), strict=True))
        for key, user in made.items():
            self._cache.put(key, user)
        return [user or made[key] for key, user in zip(keys, found, strict=True)]

    def _key(self, state: CatalogueState, request: Request) -> tuple[object, ...]:
        """Return what decides a user state; what a search finds holds for one catalogue."""
        search = self._histories.search(request)
        return (
            state.edition,
            request.worded,
            request.context,
            fingerprint(request.history),
            search and (state.changes, search),
        )

    def _answers(
        self, state: CatalogueState, requests: Sequence[Request], users: Sequence[UserState]
    ) -> list[Answer]:
        lists = rank(state, requests, users)
        return [
            Answer(
                ranking.item_rows, ranking.scores, self.version, request.fallback or user.fallback
            )
            for request, user, ranking in zip(requests, users, lists, strict=True)
        ]
