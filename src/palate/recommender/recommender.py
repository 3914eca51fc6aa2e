"""Python interface of Palate: train, load, recommend, search, explain, evaluate."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Int

from palate.data.dataset import Dataset
from palate.data.split import Fit, PartName
from palate.errors import ConfigError
from palate.evaluation.protocol import evaluate
from palate.evaluation.result import Evaluation
from palate.inference.engine import Engine
from palate.inference.filters import ItemFilter
from palate.inference.item_events import ItemEvent, unknown_items
from palate.inference.model_folder import TrainedModel, load_versioned, save_model
from palate.inference.prompting.conventional import RELATIONS, Relation
from palate.inference.request import NOBODY, Answer, Reason, Request
from palate.inference.text_answers import TextAnswers
from palate.inference.text_results import Explained, Rated
from palate.language.prompts import load_prompts
from palate.language.tasks.task import Wordings
from palate.language.tasks.yes_no import YesNo
from palate.llm.speaker import Speaker
from palate.models.device import Precision, choose_device
from palate.models.trainable_state import merged
from palate.recommender.arguments import (
    are_ids,
    checked_dataset,
    checked_diversity,
    checked_reasons,
    checked_seed,
    loaded_recipe,
    positive_length,
)
from palate.recommender.by_rows import ByRows, ScoresByRows
from palate.recommender.events import Event, Ids, as_list, item_events
from palate.recommender.fit import TrainingRun
from palate.recommender.lists import ItemList, ItemLists, ItemReason, RankedItem
from palate.recommender.prompted import check_prompting, checked_speaker
from palate.recommender.validation import no_status
from palate.training.loop import Report
from palate.training.recipe import Recipe
from palate.types import History


class Recommender:
    """A trained system with its catalogue and users; baselines and models share this interface."""

    def __init__(
        self, trained: TrainedModel, version: str = "", *, request: Request | None = None
    ) -> None:
        """Use :meth:`train` or :meth:`load` instead.

        Args:
            trained: the system with its dataset.
            version: identifies the content of its folder.
            request: settings of every later list (see :meth:`asking`).
        """
        self.trained, self.version = trained, version
        self._request = request or Request()

    @classmethod
    def train(  # noqa: PLR0913 - what to learn, and how the work is followed
        cls,
        dataset: Dataset,
        recipe: str | Recipe = "urm",
        *,
        seed: int = 0,
        fit: Fit = "train",
        start: "Recommender | None" = None,
        prompts: Path | str | None = None,
        folder: Path | str | None = None,
        report: Callable[[Report], None] | None = None,
        encoding: Callable[[int, int], None] | None = None,
        status: Callable[[str], None] = no_status,
        device: str = "auto",
        precision: Precision = "auto",
        llm: str | Speaker | None = None,
        llm_model: str = "",
    ) -> "Recommender":
        """Train the system of a recipe.

        Args:
            dataset: the training data.
            recipe: a name from ``palate recipes``, a path to a TOML file, or a recipe.
            seed: of weights, batches, negatives; the same seed gives the same model on the same
                CPU with as many threads. Others round sums otherwise.
            fit: ``train`` learns from the training part, and stops early by the validation part.
                ``valid`` then trains again from scratch on both, for the best number of epochs:
                only test can still be evaluated. ``all`` does so on all events, for a model that
                goes live and is never evaluated.
            start: a trained model to start from, of this or other data: its encoders and weights
                are reused, except those of items that are not in this data.
            prompts: a file of wordings that replace or extend those of the package.
            folder: folder of checkpoints and cached vectors, from which a killed run resumes; None
                keeps none.
            report: called after each step with the progress.
            encoding: called after each batch of encoded items with the number done and the total.
            status: called with what is done, in a few words, before work that reports nothing.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
            precision: of matrix products; ``auto`` learns in bfloat16 where that is faster. It
                outweighs what the recipe says of its backbone.
            llm: who is asked by a recipe without training: the URL of an endpoint, a folder of
                weights, ``identity`` or ``shuffle``, or a speaker; the last cannot be saved.
            llm_model: the name of the model at an endpoint.

        Raises:
            ConfigError: when there is no such device, the recipe or the prompts cannot be used,
                ``start`` is a baseline, or a recipe without training has nobody to ask.
            MissingExtraError: when a package is missing that the recipe needs.
        """
        on = choose_device(device, precision)
        chosen, data = loaded_recipe(recipe), checked_dataset(dataset)
        name = chosen.title if isinstance(recipe, Recipe) else str(recipe)
        wordings = None if prompts is None else Path(prompts)
        run = TrainingRun(
            data,
            chosen.in_precision(precision),
            name=name,
            speaker=checked_speaker(chosen, llm, llm_model, name),
            prompt_texts=check_prompting(chosen, data, wordings),
            seed=checked_seed(seed),
            start=None if start is None else start.trained,
            prompts=load_prompts(wordings) if wordings and chosen.prompting is None else None,
            folder=None if folder is None else Path(folder),
            report=report,
            encoding=encoding,
            status=status,
            device=on,
            fit=fit,
        )
        return cls(run.trained())

    @classmethod
    def load(
        cls, folder: Path | str, *, device: str = "auto", precision: Precision = "auto"
    ) -> "Recommender":
        """Read a model folder.

        Args:
            folder: made on any device.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
            precision: of matrix products; ``auto`` answers in float32.

        Raises:
            ArtifactError: when the folder is not a model, or is damaged.
            ConfigError: when there is no such device.
        """
        return cls(*load_versioned(Path(folder), choose_device(device, precision)))

    def save(self, folder: Path | str, *, made_by: str = "python") -> None:
        """Write the model folder atomically."""
        save_model(Path(folder), self.trained, made_by=made_by)

    def merged(self) -> "Recommender":
        """Return the model with its LoRA updates merged: saved, it needs no other folder.

        Raises:
            ConfigError: when it has no LoRA updates.
        """
        system = self.trained.language_model
        if system is None:
            raise ConfigError(
                f"The baseline {self.name!r} has nothing to merge.",
                hint="Merge a model that was tuned by LoRA.",
            )
        recipe = self.trained.recipe.untuned
        parts = replace(system, recipe=recipe, model=merged(system.model))
        return Recommender(replace(self.trained, recipe=recipe, system=parts))

    @property
    def name(self) -> str:
        """Display name of the model."""
        return self.trained.name

    @property
    def dataset(self) -> Dataset:
        """Catalogue, users and split of the training data."""
        return self.trained.dataset

    @cached_property
    def engine(self) -> Engine:
        """The engine that answers."""
        return Engine(self.trained, self.version)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The families of prompts that it answers."""
        return self.trained.system.tasks

    @property
    def prompts(self) -> Mapping[str, Wordings]:
        """Wordings of its training; those of the package for a baseline."""
        model = self.trained.language_model
        return load_prompts() if model is None else model.prompts

    def history(self, user_id: str) -> History:
        """Return the whole history of a known user.

        Raises:
            UnknownUserError: when the user is not in the dataset.
        """
        return self.dataset.history(user_id)

    def history_of(self, item_ids: Sequence[str], after: History | None = None) -> History:
        """Return a history of these items, oldest first.

        Args:
            item_ids: the items.
            after: earlier history of a known user.

        Raises:
            UnknownItemError: names the first id that is not in the catalogue.
        """
        self.engine.catalogue.known_rows(item_ids)
        return self.engine.history_of([ItemEvent(x) for x in item_ids], after or NOBODY)[0]

    def asking(self, request: Request) -> "Recommender":
        """Return the same model with other request settings: task, form, or free-text prompt.

        Raises:
            NotTrainedError: when it was not trained on that task or form, or reads no free text.
            ConfigError: when the slots are not those of the family.
        """
        self.engine.check(request)
        other = Recommender(self.trained, self.version, request=request)
        other.engine = self.engine
        return other

    # --- Lists of items

    def recommend(  # noqa: PLR0913 - for whom, and which items may be answered
        self,
        users: str | Ids | None = None,
        n: int = 10,
        *,
        history: Sequence[Event] | Ids | None = None,
        histories: Sequence[Sequence[Event]] | None = None,
        candidates: Ids | None = None,
        exclude: Ids = (),
        exclude_seen: bool = True,
        filters: ItemFilter | Sequence[str] | None = None,
        diversity: float = 0.0,
        reasons: int = 0,
    ) -> ItemList | ItemLists:
        """Return the best ``n`` items, fewer only if fewer are allowed.

        One user or one history gives an :class:`ItemList`, several give :class:`ItemLists`.

        Args:
            users: the id of a user, or several ids: a list, an array, or a column of a frame.
            n: length of each list.
            history: events, oldest first: item ids, or tuples of an id with its event type, rating
                and time. With a user they follow the history of that user. Events of unknown items
                are dropped: a warning and ``missing_ids`` of the list name them.
            histories: several histories, in place of ``users``.
            candidates: ids of the items to choose from; None means the whole catalogue.
            exclude: ids of items to exclude.
            exclude_seen: exclude the items of the history.
            filters: conditions such as ``["brand=Acme", "price<20"]`` (see
                :func:`palate.inference.filters.parse_filter`).
            diversity: from 0 (by score alone) to 1 (as different as possible).
            reasons: number of most important events to name for each item.

        Raises:
            UnknownUserError: names the first user that is not in the dataset.
            UnknownItemError: names the first candidate or excluded item that is not in the
                catalogue.
            ConfigError: when neither user nor history is given, or a filter cannot be parsed.

        Example:
            >>> from palate import World
            >>> shop = World(num_users=60, num_items=40, seed=0).dataset()
            >>> model = Recommender.train(shop, "popularity")
            >>> [item.rank for item in model.recommend("u1", n=2)]
            [1, 2]
        """
        request = replace(
            self._request,
            n=positive_length(n),
            candidates=None if candidates is None else self._rows(candidates, "candidates"),
            exclude=self._rows(exclude, "exclude"),
            exclude_seen=exclude_seen,
            filter=self._filter(filters),
            diversity=checked_diversity(diversity),
        )
        reasons = checked_reasons(reasons)
        people = self._people(users, history, histories)
        requests = [replace(request, history=one.history, user_id=one.user_id) for one in people]
        answers = self.engine.answer(requests)
        lists = [
            self._listed(request, answer, reasons, one.missing_ids)
            for request, answer, one in zip(requests, answers, people, strict=True)
        ]
        single = histories is None and (users is None or isinstance(users, str))
        return lists[0] if single else ItemLists(tuple(lists))

    def search(
        self,
        words: str,
        n: int = 10,
        *,
        user: str | None = None,
        history: Sequence[Event] | Ids | None = None,
        filters: ItemFilter | Sequence[str] | None = None,
    ) -> ItemList:
        """Return the items for a query, personalised for a user or history if given.

        A model that was not trained to search finds the items whose titles contain the words.

        Raises:
            NotTrainedError: when the model cannot answer with items.
        """
        if not isinstance(words, str):
            raise ConfigError(
                f"A search is a text; {words!r} was given.", hint='Write search("a warm lamp").'
            )
        somebody = self._somebody(user, history)
        request = Request(
            somebody.history, positive_length(n), filter=self._filter(filters), user_id=user
        )
        answer = self.engine.search(words, request)
        return self._listed(request, answer, 0, somebody.missing_ids)

    def similar(self, item_id: str, n: int = 10) -> ItemList:
        """Return the items most similar to one.

        Raises:
            UnknownItemError: when the item is not in the catalogue.
            NotTrainedError: when the model does not know the item, or cannot compare items.
        """
        answer = self.engine.similar(self.engine.catalogue.row_of(item_id), positive_length(n))
        return self._listed(Request(), answer, 0)

    def rank(
        self, user: str | None, item_ids: Ids, *, history: Sequence[Event] | Ids | None = None
    ) -> ItemList:
        """Rank these items for a user, best first.

        :attr:`ranked_by` names the kind of the scores.

        Raises:
            ConfigError: when there are none.
            NotTrainedError: when the model cannot read one of them.
        """
        rows = self._rows(item_ids, "item_ids")
        if not len(rows):
            raise ConfigError("There is nothing to rank.", hint="Give the ids of some items.")
        somebody = self._somebody(user, history)
        ranking = self.engine.rank(somebody.history, rows)
        answer = Answer(ranking.item_rows, ranking.scores, self.version)
        return self._listed(Request(user_id=user), answer, 0, somebody.missing_ids)

    def why(
        self,
        user: str | None,
        item_id: str,
        n: int = 3,
        *,
        history: Sequence[Event] | Ids | None = None,
    ) -> tuple[ItemReason, ...]:
        """Return the ``n`` events whose removal lowers the item's score most.

        The item is scored again without each of the newest events.
        """
        request = replace(self._request, history=self._somebody(user, history).history)
        row = self.engine.catalogue.row_of(item_id)
        return self._named(request, self.engine.reasons(request, [row], n)[0])

    # --- Text answers

    @property
    def answers(self) -> TextAnswers:
        """Text answers, by catalogue rows.

        Raises:
            NotTrainedError: when the model has no text answers.
        """
        return self.engine.texts

    def rate(
        self, user: str | None, item_id: str, *, history: Sequence[Event] | Ids | None = None
    ) -> Rated:
        """Predict the rating of an item by a user.

        Raises:
            NotTrainedError: when the model was not trained to rate.
        """
        row = self.engine.catalogue.row_of(item_id)
        return self.engine.rate(self._somebody(user, history).history, row)

    def explain(
        self,
        user: str | None,
        item_id: str,
        aspect: str = "",
        *,
        history: Sequence[Event] | Ids | None = None,
        ground: bool = True,
    ) -> Explained:
        """Explain why an item fits a user, on an aspect if given.

        What is said is chosen from data, which every model can (``statements`` of the result tell
        it with sources); ``ground=False`` gives the free words of a model that was trained to
        explain.

        Raises:
            NotTrainedError: when the model cannot read the item; with ``ground=False`` also when
                it was not trained to explain.
        """
        row = self.engine.catalogue.row_of(item_id)
        somebody = self._somebody(user, history)
        return self.engine.explain(somebody.history, row, aspect, ground=ground)

    def summarise(self, text: str) -> str:
        """Return a short title for a review, in words of the review."""
        return self.engine.summarise(text)

    def relations(self, item_id: str, wanted: Sequence[str] = RELATIONS) -> tuple[Relation, ...]:
        """Return what the description of an item states of it, as a prompted model reads it.

        Raises:
            UnknownItemError: when the item is not in the catalogue.
            NotTrainedError: when no language model is prompted.
            NoReplyError: when it does not answer.
        """
        return self.engine.relations(self.engine.catalogue.row_of(item_id), wanted)

    def profile(self, user: str | None, *, history: Sequence[Event] | Ids | None = None) -> str:
        """Describe what a user likes, by facts of what was chosen."""
        return self.engine.profile(self._somebody(user, history).history)

    # --- By rows, for evaluation

    @property
    def by_rows(self) -> ByRows:
        """The same model with histories as input and catalogue rows as output."""
        kind = ScoresByRows if self.scores_everything else ByRows
        return kind(self.engine, self.request, self.dataset)

    @property
    def request(self) -> Request:
        """Settings of every request, without the history."""
        return self._request

    def _people(
        self,
        users: str | Ids | None,
        history: Sequence[Event] | Ids | None,
        histories: Sequence[Sequence[Event]] | None,
    ) -> "list[_Somebody]":
        """Return the user ids and histories of a request."""
        if histories is not None:
            if users is not None or history is not None:
                raise ConfigError(
                    "Both histories and a user or a history were given.",
                    hint="Give histories=[...] alone, or a user with history=[...].",
                )
            return [self._somebody(None, one) for one in histories]
        if users is None and history is None:
            raise ConfigError(
                "Neither a user nor a history was given.",
                hint='Give a user, recommend("u42"), or history=["i7"]; [] is somebody new.',
            )
        if users is None or isinstance(users, str):
            return [self._somebody(users, history)]
        listed = as_list(users)
        if not are_ids(listed):
            raise ConfigError(
                f"A user is an id, and users are a list of ids; {users!r} was given.",
                hint='Write recommend("u42"), recommend(["u42", "u43"]) or history=["i7"].',
            )
        if history is not None:
            raise ConfigError(
                "One history was given with several users.", hint="Ask for one user at a time."
            )
        return [_Somebody(user, self.history(user)) for user in listed]

    def _somebody(self, user: str | None, history: Sequence[Event] | Ids | None) -> "_Somebody":
        """Return the history of a known user, if any, followed by ``history``."""
        known = NOBODY if user is None else self.history(user)
        if history is None:
            return _Somebody(user, known)
        whole, missing = self.engine.history_of(item_events(self.engine, history), known)
        if missing:
            warnings.warn(unknown_items(missing), stacklevel=3)
        return _Somebody(user, whole, tuple(missing))

    def _rows(self, item_ids: Ids, name: str) -> Int[np.ndarray, " items"]:
        """Return the rows of items, all of which must exist."""
        listed = as_list(item_ids)
        if not are_ids(listed):
            raise ConfigError(
                f"{name} is a list of item ids; {item_ids!r} was given.",
                hint=f'Write {name}=["i7", "i3"].',
            )
        return self.engine.catalogue.known_rows(listed)

    def _filter(self, filters: ItemFilter | Sequence[str] | None) -> ItemFilter | None:
        if filters is None or isinstance(filters, ItemFilter):
            return filters
        if isinstance(filters, str):
            filters = [filters]
        return self.engine.catalogue.filter(filters) if filters else None

    def _listed(
        self, request: Request, answer: Answer, reasons: int, missing_ids: tuple[str, ...] = ()
    ) -> ItemList:
        """Return an answer with ids in place of rows."""
        rows = answer.rows.tolist()
        why = self.engine.reasons(request, rows, reasons) if reasons else [[] for _ in rows]
        views = self.engine.catalogue.views(rows)
        items = tuple(
            RankedItem(
                view.item_id,
                view.title or view.item_id,
                float(score),
                rank,
                self._named(request, found),
            )
            for rank, (view, score, found) in enumerate(
                zip(views, answer.scores.tolist(), why, strict=True), start=1
            )
        )
        return ItemList(items, request.user_id, answer.fallback, missing_ids, answer.understood)

    def _named(self, request: Request, found: Sequence[Reason]) -> tuple[ItemReason, ...]:
        """Return reasons with the items of their events."""
        rows = [int(request.history.item_rows[reason.event]) for reason in found]
        views = self.engine.catalogue.views(rows)
        return tuple(
            ItemReason(view.item_id, view.title or view.item_id, reason.weight)
            for view, reason in zip(views, found, strict=True)
        )

    @property
    def ranked_by(self) -> str:
        """Kind of the scores of :meth:`rank` (see :attr:`Engine.ranked_by`)."""
        return self.engine.ranked_by

    @property
    def form(self) -> str:
        """The form in which it answers with items; empty if it has text answers only."""
        return self._request.form or next(iter(self.engine.forms), "")

    @property
    def tells_chances(self) -> bool:
        """Whether it gives the probability that an item fits a user."""
        return YesNo.name in self.tasks

    @property
    def recommends(self) -> bool:
        """Whether it can recommend from the whole catalogue."""
        return bool(self.engine.forms)

    def evaluate(
        self,
        part: PartName = "test",
        *,
        users: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """Evaluate the model on its own dataset by full ranking.

        Args:
            part: ``valid`` or ``test``.
            users: judge at most so many, drawn at random but the same for every model.
            progress: called with the number of users done and of all.

        Raises:
            ConfigError: when there is no such part, or it learned from it (see ``fit`` of
                :meth:`train`).
        """
        if part not in get_args(PartName):
            raise ConfigError(
                f"There is no part {part!r} to evaluate on.",
                hint=f"Parts: {', '.join(get_args(PartName))}.",
            )
        return evaluate(self.by_rows, self.dataset, part, users=users, progress=progress)

    @property
    def scores_everything(self) -> bool:
        """Whether one pass scores the whole catalogue; searches for codes or titles do not."""
        return self.form == "set" and self.trained.prompted is None


@dataclass(frozen=True)
class _Somebody:
    """For whom a request is: a user, a session, or both."""

    user_id: str | None
    history: History
    missing_ids: tuple[str, ...] = ()
    """Items of the session that are not in the catalogue."""
