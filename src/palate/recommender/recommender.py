"""The face of Palate in Python: train, load, recommend, search, explain, evaluate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from palate.data.dataset import Dataset
from palate.data.split import Fit, PartName
from palate.errors import ConfigError
from palate.evaluation.protocol import evaluate
from palate.evaluation.result import Evaluation
from palate.inference.engine import Engine
from palate.inference.filters import ItemFilter
from palate.inference.model_folder import TrainedModel, load_versioned, save_model
from palate.inference.request import NOBODY, Answer, Reason, Request
from palate.inference.text_answers import TextAnswers
from palate.inference.text_results import Explained, Rated
from palate.language.prompts import load_prompts
from palate.language.tasks.task import Wordings
from palate.language.tasks.yes_no import YesNo
from palate.models.device import Precision, choose_device
from palate.models.trainable_state import merged
from palate.recommender.events import Event, history_of_events
from palate.recommender.fit import TrainingRun
from palate.recommender.lists import ItemList, ItemLists, ItemReason, RankedItem
from palate.training.loop import Report
from palate.training.recipe import Recipe, load_recipe
from palate.training.system import LanguageModelSystem
from palate.types import History, Ranking


class Recommender:
    """A trained system with its catalogue and users; a baseline and a model are used alike."""

    def __init__(
        self, trained: TrainedModel, version: str = "", *, request: Request | None = None
    ) -> None:
        """Use :meth:`train` or :meth:`load` instead.

        Args:
            trained: the system with its dataset.
            version: names the content of its folder.
            request: how every later list is asked for (see :meth:`asking`).
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
        device: str = "auto",
        precision: Precision = "auto",
    ) -> "Recommender":
        """Train the system a recipe describes.

        Args:
            dataset: what to learn from.
            recipe: a name from ``palate recipes``, a path to a TOML file, or a recipe.
            seed: decides weights, batches, negatives: the same seed gives the same model on a CPU.
            fit: ``train`` learns from the training part alone and looks at the valid part to stop
                in time. ``valid`` then trains once more from the start, on both, for as many epochs
                as were best: only test can still be evaluated. ``all`` does so on every event: for
                a model that goes live and is never evaluated.
            start: a trained model to start from, of this data or of other: its encoders and all
                weights are taken over but for those of items that are not in this data.
            prompts: a file of wordings that replace those of the package, or add to them.
            folder: where checkpoints and cached vectors go, so that a killed run continues; None
                keeps none.
            report: told after each step how far the run is.
            encoding: told after each batch of encoded items how many are done, of how many.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
            precision: of matrix products; ``auto`` learns in bfloat16 where that is faster.

        Raises:
            ConfigError: when there is no such device, the recipe or the prompts cannot be used, or
                ``start`` is a baseline.
        """
        run = TrainingRun(
            dataset,
            load_recipe(recipe) if isinstance(recipe, str) else recipe,
            name=recipe if isinstance(recipe, str) else recipe.title,
            seed=seed,
            start=None if start is None else start.trained,
            prompts=None if prompts is None else load_prompts(Path(prompts)),
            folder=None if folder is None else Path(folder),
            report=report,
            encoding=encoding,
            device=choose_device(device, precision),
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
        """Write the model folder, whole or not at all."""
        save_model(Path(folder), self.trained, made_by=made_by)

    def merged(self) -> "Recommender":
        """Return the same model with its LoRA updates folded in: saved, it needs no other folder.

        Raises:
            ConfigError: when there is no LoRA update in it.
        """
        system = self.trained.system
        if not isinstance(system, LanguageModelSystem):
            raise ConfigError(
                f"The baseline {self.name!r} has nothing to merge.",
                hint="Merge a model that was tuned by LoRA.",
            )
        recipe = self.trained.recipe.untuned
        parts = replace(system, recipe=recipe, model=merged(system.model))
        return Recommender(replace(self.trained, recipe=recipe, system=parts))

    @property
    def name(self) -> str:
        """What a person calls the model."""
        return self.trained.name

    @property
    def dataset(self) -> Dataset:
        """The catalogue, the users and the split it was trained on."""
        return self.trained.dataset

    @cached_property
    def engine(self) -> Engine:
        """What answers."""
        return Engine(self.trained, self.version)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The families of prompts it was trained on; none for a baseline."""
        system = self.trained.system
        return system.tasks if isinstance(system, LanguageModelSystem) else ()

    @property
    def prompts(self) -> Mapping[str, Wordings]:
        """The wordings it was trained with; those of the package for a baseline."""
        system = self.trained.system
        return system.prompts if isinstance(system, LanguageModelSystem) else load_prompts()

    def history(self, user_id: str) -> History:
        """Return everything a known user did.

        Raises:
            UnknownUserError: when the dataset does not hold the user.
        """
        return self.dataset.history(user_id)

    def history_of(self, item_ids: Sequence[str], after: History | None = None) -> History:
        """Return the history of somebody who chose these items, oldest first.

        Args:
            item_ids: of the items.
            after: what somebody known did before.

        Raises:
            UnknownItemError: naming the first id that the catalogue does not hold.
        """
        return self.engine.catalogue.history_of(item_ids, after)

    def asking(self, request: Request) -> "Recommender":
        """Return the same model asked in another way: another task, form, or free words.

        Raises:
            NotTrainedError: when it was not trained on that task, form, or on words.
            ConfigError: when the slots are not those of the family.
        """
        self.engine.check(request)
        other = Recommender(self.trained, self.version, request=request)
        other.engine = self.engine
        return other

    # --- Lists of items

    def recommend(  # noqa: PLR0913 - for whom, and which items may be answered
        self,
        users: str | Sequence[str] | None = None,
        n: int = 10,
        *,
        history: Sequence[Event] | None = None,
        histories: Sequence[Sequence[Event]] | None = None,
        candidates: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        exclude_seen: bool = True,
        filters: ItemFilter | Sequence[str] | None = None,
        diversity: float = 0.0,
        reasons: int = 0,
    ) -> ItemList | ItemLists:
        """Return the best ``n`` items, fewer only where fewer may be answered.

        One user or one history gives an :class:`ItemList`, several give :class:`ItemLists`.

        Args:
            users: the id of a user, or several ids.
            n: length of each list.
            history: what somebody did, oldest first: item ids, or tuples of an id with its event
                type, rating and time. With a user it follows what the user did before.
            histories: the same of several people, in place of ``users``.
            candidates: ids of the items to choose from; None means the whole catalogue.
            exclude: ids of items to leave out.
            exclude_seen: leave out the items of the history.
            filters: conditions such as ``["brand=Acme", "price<20"]`` (see
                :func:`palate.inference.filters.parse_filter`).
            diversity: from 0 (by score alone) to 1 (as different as possible).
            reasons: how many events to name for each item that weighed most; 0 names none.

        Raises:
            UnknownUserError: naming the first user that the dataset does not hold.
            UnknownItemError: naming the first item that the catalogue does not hold.
            ConfigError: when it is not said for whom, or a filter cannot be read.

        Example:
            >>> from palate import World
            >>> shop = World(num_users=60, num_items=40, seed=0).dataset()
            >>> model = Recommender.train(shop, "popularity")
            >>> [item.rank for item in model.recommend("u1", n=2)]
            [1, 2]
        """
        asked = replace(
            self._request,
            n=_positive(n),
            candidates=None if candidates is None else self._rows(candidates, "candidates"),
            exclude=self._rows(exclude, "exclude"),
            exclude_seen=exclude_seen,
            filter=self._filter(filters),
            diversity=diversity,
        )
        named, told = self._people(users, history, histories)
        requests = [
            replace(asked, history=one, user_id=user) for user, one in zip(named, told, strict=True)
        ]
        lists = [
            self._listed(request, answer, reasons)
            for request, answer in zip(requests, self.engine.answer(requests), strict=True)
        ]
        single = histories is None and (users is None or isinstance(users, str))
        return lists[0] if single else ItemLists(tuple(lists))

    def search(
        self,
        words: str,
        n: int = 10,
        *,
        user: str | None = None,
        history: Sequence[Event] | None = None,
        filters: ItemFilter | Sequence[str] | None = None,
    ) -> ItemList:
        """Return the items that fit words, for a user or somebody with a history if given.

        A model that was not trained to search finds the items that have the words in their titles.

        Raises:
            NotTrainedError: when the model answers with no items at all.
        """
        request = Request(
            self._somebody(user, history), _positive(n), filter=self._filter(filters), user_id=user
        )
        return self._listed(request, self.engine.search(words, request), 0)

    def similar(self, item_id: str, n: int = 10) -> ItemList:
        """Return the items most like one.

        Raises:
            UnknownItemError: when the catalogue does not hold the item.
            NotTrainedError: when the model knows nothing of the item, or no items apart.
        """
        answer = self.engine.similar(self.engine.catalogue.row_of(item_id), _positive(n))
        return self._listed(Request(), answer, 0)

    def rank(
        self, user: str | None, item_ids: Sequence[str], *, history: Sequence[Event] | None = None
    ) -> ItemList:
        """Return these items, best first for a user.

        Scores are what :attr:`ranked_by` says.

        Raises:
            NotTrainedError: when the model cannot read one of them.
        """
        rows = self._rows(item_ids, "item_ids")
        found = self.engine.rank(self._somebody(user, history), rows)
        request = Request(user_id=user)
        return self._listed(request, Answer(found.item_rows, found.scores, self.version), 0)

    def why(
        self,
        user: str | None,
        item_id: str,
        n: int = 3,
        *,
        history: Sequence[Event] | None = None,
    ) -> tuple[ItemReason, ...]:
        """Return the ``n`` events without which the item's score falls most.

        Measured by scoring again without each.
        """
        request = replace(self._request, history=self._somebody(user, history))
        row = self.engine.catalogue.row_of(item_id)
        return self._named(request, self.engine.reasons(request, [row], n)[0])

    # --- Answers in words

    @property
    def answers(self) -> TextAnswers:
        """What it answers in words, by rows.

        Raises:
            NotTrainedError: when it answers nothing in words.
        """
        return self.engine.texts

    def rate(
        self, user: str | None, item_id: str, *, history: Sequence[Event] | None = None
    ) -> Rated:
        """Return how a user rates an item.

        Raises:
            NotTrainedError: when the model was not trained to rate.
        """
        row = self.engine.catalogue.row_of(item_id)
        return self.engine.rate(self._somebody(user, history), row)

    def explain(
        self,
        user: str | None,
        item_id: str,
        aspect: str = "",
        *,
        history: Sequence[Event] | None = None,
        ground: bool = True,
    ) -> Explained:
        """Return why an item fits a user, on an aspect if one is given.

        Sentences that claim what the catalogue does not bear out are left out unless ``ground`` is
        False.

        Raises:
            NotTrainedError: when the model was not trained to explain.
        """
        row = self.engine.catalogue.row_of(item_id)
        return self.engine.explain(self._somebody(user, history), row, aspect, ground=ground)

    def summarise(self, text: str) -> str:
        """Return a short title for a review.

        Raises:
            NotTrainedError: when the model was not trained to summarise.
        """
        return self.engine.summarise(text)

    def profile(self, user: str | None, *, history: Sequence[Event] | None = None) -> str:
        """Return in a sentence what a user likes.

        Raises:
            NotTrainedError: when the model was not trained to describe users.
        """
        return self.engine.profile(self._somebody(user, history))

    # --- By rows, for evaluation

    @property
    def by_rows(self) -> "ByRows":
        """The same model, asked with histories and answering in rows of the catalogue."""
        return ScoresByRows(self) if self.scores_everything else ByRows(self)

    @property
    def request(self) -> Request:
        """How every list is asked for, but for the history."""
        return self._request

    def _people(
        self,
        users: str | Sequence[str] | None,
        history: Sequence[Event] | None,
        histories: Sequence[Sequence[Event]] | None,
    ) -> tuple[list[str | None], list[History]]:
        """Return the ids and the histories of all who ask."""
        if histories is not None:
            if users is not None or history is not None:
                raise ConfigError(
                    "Both histories and a user or a history were given.",
                    hint="Give histories=[...] alone, or a user with history=[...].",
                )
            return [None] * len(histories), [self._somebody(None, one) for one in histories]
        if users is None and history is None:
            raise ConfigError(
                "It was not said for whom.",
                hint='Give a user, recommend("u42"), or history=["i7"]; [] is somebody new.',
            )
        if users is None or isinstance(users, str):
            return [users], [self._somebody(users, history)]
        if not isinstance(users, Sequence) or not all(isinstance(user, str) for user in users):
            raise ConfigError(
                f"A user is an id, and users are a list of ids; {users!r} was given.",
                hint='Write recommend("u42"), recommend(["u42", "u43"]) or history=["i7"].',
            )
        if history is not None:
            raise ConfigError(
                "One history was given with several users.", hint="Ask for one user at a time."
            )
        return list(users), [self.history(user) for user in users]

    def _somebody(self, user: str | None, history: Sequence[Event] | None) -> History:
        """Return what a known user did, then ``history``; of nobody, nothing."""
        known = None if user is None else self.history(user)
        if history is None:
            return NOBODY if known is None else known
        return history_of_events(self.engine, history, known)

    def _rows(self, item_ids: Sequence[str], name: str) -> Int[np.ndarray, " items"]:
        """Return the rows of items, all of which have to be there."""
        if isinstance(item_ids, str) or not all(isinstance(x, str) for x in item_ids):
            raise ConfigError(
                f"{name} is a list of item ids; {item_ids!r} was given.",
                hint=f'Write {name}=["i7", "i3"].',
            )
        return self.engine.catalogue.known_rows(item_ids)

    def _filter(self, filters: ItemFilter | Sequence[str] | None) -> ItemFilter | None:
        if filters is None or isinstance(filters, ItemFilter):
            return filters
        if isinstance(filters, str):
            filters = [filters]
        return self.engine.catalogue.filter(filters) if filters else None

    def _listed(self, request: Request, answer: Answer, reasons: int) -> ItemList:
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
        return ItemList(items, request.user_id, answer.fallback)

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
        """What the scores of :meth:`rank` are (see :attr:`Engine.ranked_by`)."""
        return self.engine.ranked_by

    @property
    def form(self) -> str:
        """The form in which it answers with items; empty where it answers in words alone."""
        return self._request.form or next(iter(self.engine.forms), "")

    @property
    def tells_chances(self) -> bool:
        """Whether it gives the chance that an item is for a user."""
        return YesNo.name in self.tasks

    @property
    def recommends(self) -> bool:
        """Whether it finds items in the whole catalogue by itself."""
        return bool(self.engine.forms)

    def evaluate(
        self, part: PartName = "test", *, progress: Callable[[int, int], None] | None = None
    ) -> Evaluation:
        """Judge the model on its own dataset by full ranking.

        Raises:
            ConfigError: when it learned from the part (see ``fit`` of :meth:`train`).
        """
        return evaluate(self.by_rows, self.dataset, part, progress=progress)

    @property
    def scores_everything(self) -> bool:
        """Whether one pass scores the whole catalogue; a search for codes or titles gives lists."""
        return self.form == "set"


@dataclass(frozen=True)
class ByRows:
    """A recommender by catalogue rows (:class:`palate.types.SupportsRecommend`)."""

    recommender: Recommender

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history."""
        asked = replace(
            self.recommender.request, n=n, candidates=candidates, exclude_seen=exclude_seen
        )
        requests = [replace(asked, history=history) for history in histories]
        answers = self.recommender.engine.answer(requests)
        return [Ranking(answer.rows, answer.scores) for answer in answers]


class ScoresByRows(ByRows):
    """The same where one pass scores the whole catalogue (:class:`SupportsScore`)."""

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return one score per user and catalogue row, higher is better."""
        request = self.recommender.request
        return self.recommender.engine.scores(
            [replace(request, history=history) for history in histories]
        )


def _positive(n: int) -> int:
    if not isinstance(n, int) or n < 1:
        raise ConfigError(f"A list has a length of 1 or more; {n!r} was given.", hint="Write n=10.")
    return n
