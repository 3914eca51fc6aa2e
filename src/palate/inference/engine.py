"""The engine: requests in, lists of items and texts out, over a catalogue that changes.

Python, the command line, HTTP and MCP share this one engine. Each converts between ids and rows at
its own edge.

A request becomes a :class:`~palate.inference.history_encoder.Plan` (which model answers, with which
fallback), then a :class:`~palate.inference.user_state.UserState` (the encoded history, which is
cached), and then a list (scores, filters, top n)::

    Request --> Plan --> UserState --> scores --> mask, filter --> top n --> Answer
                          (cached)
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.data.dataset import Dataset
from palate.errors import ConfigError, NotTrainedError
from palate.inference.baseline_encoder import BaselineEncoder
from palate.inference.capabilities import FORMS, Capabilities
from palate.inference.catalogue import ItemCatalogue
from palate.inference.catalogue_state import CatalogueState
from palate.inference.grounded_answers import GroundedAnswers
from palate.inference.history_encoder import HistoryEncoder
from palate.inference.item_encoder import ItemEncoder
from palate.inference.item_events import ItemEvent, history_of
from palate.inference.language_model_encoder import LanguageModelEncoder
from palate.inference.model_folder import TrainedModel, load_versioned
from palate.inference.printed.choosing import MOST_REASONS
from palate.inference.printed.explainer import Explainer
from palate.inference.printed.rewriting import Rewriter
from palate.inference.prompting.conventional import RELATIONS, Relation
from palate.inference.prompting.reranker import Reranker
from palate.inference.ranking import nearest, rank, scores_of_all
from palate.inference.reasons import reasons
from palate.inference.request import NOBODY, Answer, Reason, Request
from palate.inference.text_answers import TextAnswers
from palate.inference.text_results import Explained, Rated
from palate.inference.title_search import TitleSearch
from palate.inference.user_state import CacheCounts, UserState, UserStateCache, fingerprint
from palate.language.tasks.choice import Choice
from palate.language.tasks.yes_no import YesNo
from palate.language.text.headlines import headline
from palate.language.text.reviews import Reviews, read_reviews
from palate.llm.request import SpeakerRequest
from palate.models.device import Device, choose_device
from palate.training.system import Blend
from palate.types import History, Ranking

__all__ = ["Answer", "Device", "Engine", "Reason", "Request", "choose_device"]

_CACHE_BYTES = 128_000_000
_AT_ONCE = 512
"""Number of requests processed at a time, to bound the memory of user states."""
_TITLES = 500
"""Number of items found by title that the model then ranks."""


class Engine:
    """Answers requests with a trained system; thread-safe, also while items change."""

    def __init__(
        self,
        trained: TrainedModel,
        version: str = "",
        *,
        forms: Collection[str] = FORMS,
        cache_bytes: int = _CACHE_BYTES,
    ) -> None:
        """Compute the item vectors of the catalogue.

        Args:
            trained: the system with its dataset.
            version: identifies the content of the model.
            forms: allowed forms of answers (see :class:`Capabilities`).
            cache_bytes: memory for cached user states.
        """
        self.trained, self.version = trained, version
        self.capabilities = Capabilities(trained, forms)
        base = trained.base
        model = base.language_model
        if model is not None:
            model.model.train(mode=False)
        items = None if model is None else ItemEncoder(model)
        self.catalogue = ItemCatalogue(trained.dataset.catalog, items)
        """Items by id and by row, and their updates."""
        self._texts = (
            None if model is None or model.model.text is None else GroundedAnswers(base, model)
        )
        titles = None if self._texts is None else TitleSearch(self._texts)
        self._histories = _encoder_of(base, titles)
        prompted = trained.prompted
        self.prompting = None if prompted is None else Reranker(prompted, trained.dataset)
        """Asks a language model about the lists; None where none is prompted."""
        self._cache = UserStateCache(cache_bytes)
        self.explainer = Explainer(trained.dataset, self._reviews)
        """What it says of items in print."""
        self.rewriter: Rewriter | None = None
        """A language model that may reword explanations; None leaves them as they are."""

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: Device | None = None,
        forms: Collection[str] = FORMS,
        cache_bytes: int = _CACHE_BYTES,
    ) -> "Engine":
        """Read a model folder onto ``device``; None means a GPU if there is one.

        Raises:
            ArtifactError: when the folder is not a model, or is damaged.
        """
        trained, version = load_versioned(folder, device)
        return cls(trained, version, forms=forms, cache_bytes=cache_bytes)

    # --- Description

    @property
    def name(self) -> str:
        """Display name of the model."""
        return self.trained.name

    @property
    def dataset(self) -> Dataset:
        """Catalogue, users and split of the training data."""
        return self.trained.dataset

    @property
    def tasks(self) -> tuple[str, ...]:
        """Prompt families that it answers with items; for a baseline only the next item."""
        return self.capabilities.tasks

    @property
    def forms(self) -> tuple[str, ...]:
        """Forms of its answers, the default first."""
        return self.capabilities.forms

    @property
    def cache(self) -> CacheCounts:
        """Counters of the user-state cache."""
        return self._cache.counts

    @property
    def work(self) -> int:
        """Number of multiplications of one answer with a cached user state."""
        return len(self.catalogue) * self.trained.system.work_per_item

    def describe(self) -> dict[str, object]:
        """Return its capabilities as JSON values."""
        state = self.catalogue.state
        return self.capabilities.describe() | {
            "name": self.name,
            "version": self.version,
            "items": int((~state.deleted).sum()),
            "items_answered": len(state) - len(state.hidden_rows),
            "items_unreadable": int((~state.readable & ~state.deleted).sum()),
        }

    # --- Histories

    def history_of(
        self, events: Sequence[ItemEvent], after: History = NOBODY
    ) -> tuple[History, list[str]]:
        """Return the history with these events, oldest first, and the ids of unknown items.

        Events of items that are not in the catalogue are dropped; if nothing is left, a request
        with this history has the fallback of an unknown user. An event type that is not in the
        data counts as unknown.
        """
        return history_of(self.catalogue, self.dataset.interactions.event_types, events, after)

    # --- Lists of items

    def check(self, request: Request) -> None:
        """Refuse a request that the system cannot answer.

        Raises:
            NotTrainedError: naming the recipes that can.
            ConfigError: when slots are missing or have values that are not in the data.
        """
        self.capabilities.check(request)

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return the answers; requests that share a wording share one forward pass.

        Raises:
            NotTrainedError: when the system cannot answer one of them.
            ConfigError: when one of them lacks what its family needs.
        """
        for request in requests:
            self.check(request)
        state = self.catalogue.state
        answers: list[Answer] = []
        for start in range(0, len(requests), _AT_ONCE):
            some = requests[start : start + _AT_ONCE]
            if self.prompting is None:
                answers += self._answers(state, some, self._states(state, some))
            else:
                answers += self._prompted(state, some, self.prompting)
        return answers

    def answer_known(self, requests: Sequence[Request]) -> list[Answer | None]:
        """Return the answers from cached user states, None where the cache has no state.

        The requests must have passed :meth:`check`. A prompted model has to be asked each time.
        """
        if self.prompting is not None:
            return [None] * len(requests)
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
        """Return the vector score of every item for each request, without exclusions.

        Evaluations with full ranking use it. Those of a prompted model are its base's.
        """
        state = self.catalogue.state
        by_vectors = [replace(request, form="set") for request in requests]
        plans = [self._histories.plan(state, request) for request in by_vectors]
        if not plans:
            return np.zeros((0, len(state)), dtype=np.float32)
        return scores_of_all(state, self._histories.encode(state, plans))

    def try_blends(
        self, requests: Sequence[Request], blends: Sequence[Blend]
    ) -> list[list[Ranking]]:
        """Return the hybrid lists of all requests for each of several blends.

        Each history is encoded once. Validation uses it to choose the blend of a model.
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
        """Return the request for a search by words.

        A model that was not trained to search ranks the items whose titles contain the words; the
        answer then has the fallback ``titles``.

        Raises:
            ConfigError: when there are no words.
        """
        if not words.strip():
            raise ConfigError("There are no words to search for.", hint="Say what is wanted.")
        request = replace(request, exclude_seen=False)
        if "search" in self.tasks:
            return replace(request, family="search", context=words)
        found = self.catalogue.find_titles(words, _TITLES)
        if self.prompting is not None:
            request = replace(request, prompt=words)
        return replace(request, candidates=found, fallback="titles")

    def search(self, words: str, request: Request | None = None) -> Answer:
        """Return the items for a query, with the user and the filters of ``request``.

        Raises:
            NotTrainedError: when the system answers with no items at all.
        """
        return self.answer([self.searching(words, request or Request())])[0]

    def similar(self, item_row: int, n: int) -> Answer:
        """Return the items most similar to one, by output vector or by a baseline's scores.

        Raises:
            NotTrainedError: when the model does not know the item, or cannot compare items.
        """
        state = self.catalogue.state
        if not state.readable[item_row] or not self.capabilities.compares_items:
            raise NotTrainedError(
                f"{self.name!r} cannot compare {state.views[item_row].item_id!r} with other items.",
                hint="A language model can, by ID and content: palate train DATASET MODEL "
                "--recipe urm",
            )
        if self.trained.base.language_model is None:
            alone = Request(History(item_rows=np.asarray([item_row])), n)
            return self._answers(state, [alone], self._states(state, [alone]))[0]
        found = nearest(state, item_row, n)
        return Answer(found.item_rows, found.scores, self.version)

    # --- Reasons

    def why(self, history: History, item_row: int, n: int = 3) -> list[Reason]:
        """Return the ``n`` events whose removal lowers the score of an item most."""
        return self.reasons(Request(history), [item_row], n)[0]

    def reasons(self, request: Request, item_rows: Sequence[int], n: int = 3) -> list[list[Reason]]:
        """Return, for each item, the ``n`` most important events of the request's history.

        The items are scored again without each of the newest events, in one pass. A fallback to
        popular items has no reasons. Those of a prompted model are why its base found the items.
        """
        rows, state = np.asarray(item_rows, dtype=np.int64), self.catalogue.state
        if not self.forms:
            return [[] for _ in rows]
        if self.prompting is not None:
            request = self.prompting.for_base(request, len(state))
        return reasons(self._histories, state, request, rows, n)

    # --- Text answers

    @property
    def texts(self) -> TextAnswers:
        """Text answers of the model, over the current catalogue.

        Raises:
            NotTrainedError: when the system has no text answers.
        """
        if self._texts is None:
            raise self.capabilities.wordless
        return self._texts.over(self.catalogue.state)

    def rate(self, history: History, item_row: int) -> Rated:
        """Predict the rating of an item by a user with this history.

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
        """Explain why an item fits a user with this history, on an aspect if given.

        What is said is chosen from data first: the events that weigh most, facts of the catalogue,
        what reviews praise; then said in well-made sentences, so that every model explains. With a
        :attr:`rewriter` a language model may reword exactly that.

        Args:
            history: the history of the user.
            item_row: the item.
            aspect: what to speak of, as a word; where nothing good is known of it, that is said.
            ground: False gives the free words of a model that was trained to explain, unchecked.

        Raises:
            NotTrainedError: when the model cannot read the item; without ``ground`` also when it
                was not trained to explain.
        """
        state = self.catalogue.state
        self._histories.events.check(state, np.asarray([item_row]))
        if ground:
            reasons = self.reasons(Request(history), [item_row], MOST_REASONS)[0]
            return self.explainer.explain(
                state, history, item_row, reasons, aspect=aspect, rewriter=self.rewriter
            )
        self.capabilities.check_words("explanation")
        known = self._histories.events.of(state, history)
        return self.texts.explain(known, item_row, aspect, ground=False)

    def summarise(self, text: str) -> str:
        """Return a short title for a review, in its own words: never half a sentence.

        A model that was trained to summarise, or one that is prompted, proposes titles beside those
        found in the text; one that says anything else is not taken.

        Raises:
            NoReplyError: when a language model that is asked does not answer.
        """
        drafts = [] if (draft := self._drafted(text)) is None else [draft]
        return headline(text, drafts)

    def _drafted(self, text: str) -> str | None:
        """Return the title that a language model gives a review; None where none gives any."""
        if self.prompting is not None:
            return self.prompting.conventional.summarise(text)
        return self.texts.summarise(text) if "summary" in self.capabilities.in_words else None

    def relations(self, item_row: int, wanted: Sequence[str] = RELATIONS) -> tuple[Relation, ...]:
        """Return what the description of an item states of it, in its own words.

        Raises:
            NotTrainedError: when no language model is prompted.
            NoReplyError: when it does not answer.
        """
        if self.prompting is None:
            raise NotTrainedError(
                f"{self.name!r} was not made to read relations out of texts.",
                hint="Ask a language model: palate train DATASET MODEL --recipe zero-shot --llm "
                "URL|FOLDER",
            )
        view = self.catalogue.state.views[item_row]
        if not view.description:
            return ()
        title = view.title or "this item"
        return self.prompting.conventional.relations(title, view.description, wanted)

    def profile(self, history: History) -> str:
        """Describe what a user with this history likes, by facts of what was chosen.

        For the words of a model that was trained to describe users see :attr:`texts`.
        """
        return self.explainer.profile(self.catalogue.state, history)

    def rank(
        self, history: History, item_rows: Int[np.ndarray, " candidates"] | Sequence[int]
    ) -> Ranking:
        """Rank these items for a user with this history, best first.

        :attr:`ranked_by` names the kind of the scores.

        Raises:
            NotTrainedError: when the model cannot read one of the items.
        """
        # An item that is given twice is ranked once, as in recommendations among candidates.
        item_rows = np.asarray(list(dict.fromkeys(map(int, item_rows))), dtype=np.int64)
        if not len(item_rows):
            return Ranking(item_rows, np.zeros(0, dtype=np.float32))
        if not self.ranks_in_words:
            request = Request(history, len(item_rows), candidates=item_rows, exclude_seen=False)
            (answer,) = self.answer([request])
            return Ranking(answer.rows, answer.scores)
        state = self.catalogue.state
        self._histories.events.check(state, item_rows)
        return self.texts.rank(self._histories.events.of(state, history), item_rows)

    @property
    def ranks_in_words(self) -> bool:
        """Whether :meth:`rank` scores by the probability of an answer in words."""
        in_words = {YesNo.name, Choice.name}.intersection(self.capabilities.in_words)
        return bool(in_words) or not self.forms

    def can_read(self, item_rows: Int[np.ndarray, " items"]) -> Bool[np.ndarray, " items"]:
        """Return the mask of items that the model can read in a prompt."""
        return self._histories.events.items(self.catalogue.state, item_rows)

    @property
    def ranked_by(self) -> str:
        """Kind of the scores of :meth:`rank`.

        Calibrated probabilities if the model was trained on yes or no; choice probabilities if it
        was trained to choose; else recommendation scores.
        """
        if YesNo.name in self.capabilities.in_words:
            return "chance that each is chosen"
        if Choice.name in self.capabilities.in_words:
            return "share of the choice among them"
        return "scores as in recommend"

    # --- Internals

    def _reviews(self) -> Reviews | None:
        """Return the reviews of training, read once for all text answers."""
        return read_reviews(self.dataset) if self._texts is None else self._texts.reviews

    def forget_user_states(self) -> None:
        """Drop all cached user states, for example after a user was erased."""
        self._cache.clear()

    def _states(self, state: CatalogueState, requests: Sequence[Request]) -> list[UserState]:
        """Return the user state of each request; histories that are not cached are encoded."""
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

    def _prompted(
        self, state: CatalogueState, requests: Sequence[Request], prompting: Reranker
    ) -> list[Answer]:
        """Return the answers of a language model that is asked about the lists of its base."""
        wider = [prompting.for_base(request, len(state)) for request in requests]
        below = self._answers(state, wider, self._states(state, wider))
        return prompting.answers(state, requests, below)

    def prompts(self, request: Request) -> list[SpeakerRequest]:
        """Return what a prompted model would ask for one list, and ask nothing.

        Raises:
            NotTrainedError: when no language model is prompted.
        """
        if self.prompting is None:
            raise NotTrainedError(
                f"{self.name!r} asks no other language model.",
                hint='Recipes that ask one are listed under "Prompting" by: palate recipes',
            )
        state, wider = self.catalogue.state, self.prompting.for_base(request, len(self.catalogue))
        (below,) = self._answers(state, [wider], self._states(state, [wider]))
        return self.prompting.prompts(state, request, below)

    def _key(self, state: CatalogueState, request: Request) -> tuple[object, ...]:
        """Return the cache key of a user state; with a search it includes the catalogue state."""
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


def _encoder_of(trained: TrainedModel, titles: TitleSearch | None) -> HistoryEncoder:
    if trained.baseline is not None:
        return BaselineEncoder(trained, trained.baseline)
    assert trained.language_model is not None
    return LanguageModelEncoder(trained, trained.language_model, titles)
