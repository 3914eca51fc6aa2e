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
from palate.inference.request import Reason, Request
from palate.inference.text_answers import TextAnswers
from palate.inference.text_results import Explained, Rated
from palate.language.prompts import Wordings, load_prompts
from palate.models.device import Precision, choose_device
from palate.models.trainable_state import merged
from palate.recommender.fit import TrainingRun
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

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return one score per user and catalogue row, higher is better."""
        return self.engine.scores([replace(self._request, history=each) for each in histories])

    def recommend(  # noqa: PLR0913 - which items may be answered
        self,
        histories: Sequence[History],
        n: int = 10,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
        filters: ItemFilter | Sequence[str] | None = None,
        exclude: Int[np.ndarray, " excluded"] | Sequence[int] = (),
        diversity: float = 0.0,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history, fewer only where fewer may be answered.

        Args:
            histories: one per user.
            n: length of each list.
            candidates: catalogue rows to choose from; None means the whole catalogue.
            exclude_seen: leave out the items of the user's own history.
            filters: conditions such as ``["brand=Acme", "price<20"]`` (see
                :func:`palate.inference.filters.parse_filter`).
            exclude: catalogue rows to leave out.
            diversity: from 0 (by score alone) to 1 (as different as possible).

        Raises:
            ConfigError: when a filter cannot be read, or names what no item has.
        """
        if filters is not None and not isinstance(filters, ItemFilter):
            filters = self.engine.catalogue.filter(filters) if filters else None
        asked = replace(
            self._request,
            n=n,
            candidates=candidates,
            exclude_seen=exclude_seen,
            filter=filters,
            exclude=np.asarray(exclude, dtype=np.int64),
            diversity=diversity,
        )
        answers = self.engine.answer([replace(asked, history=history) for history in histories])
        return [Ranking(answer.rows, answer.scores) for answer in answers]

    def search(self, words: str, n: int = 10, history: History | None = None) -> Ranking:
        """Return the items that fit words, for somebody with this history if given.

        A model that was not trained to search finds the items that have the words in their titles.

        Raises:
            NotTrainedError: when the model answers with no items at all.
        """
        request = Request(n=n) if history is None else Request(history, n)
        answer = self.engine.search(words, request)
        return Ranking(answer.rows, answer.scores)

    def similar(self, item_row: int, n: int = 10) -> Ranking:
        """Return the items most like one.

        Raises:
            NotTrainedError: when the model knows nothing of the item, or no items apart.
        """
        answer = self.engine.similar(item_row, n)
        return Ranking(answer.rows, answer.scores)

    def why(self, history: History, item_row: int, n: int = 3) -> list[Reason]:
        """Return the ``n`` events without which the item's score falls most.

        Measured by scoring again without each.
        """
        return self.engine.reasons(replace(self._request, history=history), [item_row], n)[0]

    @property
    def answers(self) -> TextAnswers:
        """What it answers in words.

        Raises:
            NotTrainedError: when it answers nothing in words.
        """
        return self.engine.texts

    def rate(self, history: History, item_row: int) -> Rated:
        """Return how somebody with this history rates an item.

        Raises:
            NotTrainedError: when the model was not trained to rate.
        """
        return self.engine.rate(history, item_row)

    def explain(
        self, history: History, item_row: int, aspect: str = "", *, ground: bool = True
    ) -> Explained:
        """Return why an item fits somebody with this history, on an aspect if one is given.

        Sentences that claim what the catalogue does not bear out are left out unless ``ground`` is
        False.

        Raises:
            NotTrainedError: when the model was not trained to explain.
        """
        return self.engine.explain(history, item_row, aspect, ground=ground)

    def summarise(self, text: str) -> str:
        """Return a short title for a review.

        Raises:
            NotTrainedError: when the model was not trained to summarise.
        """
        return self.engine.summarise(text)

    def profile(self, history: History) -> str:
        """Return in a sentence what somebody with this history likes.

        Raises:
            NotTrainedError: when the model was not trained to describe users.
        """
        return self.engine.profile(history)

    def rank(self, history: History, item_rows: Sequence[int]) -> Ranking:
        """Return these items, best first for somebody with this history.

        Scores are what :attr:`ranked_by` says.

        Raises:
            NotTrainedError: when the model cannot read one of them.
        """
        return self.engine.rank(history, np.asarray(item_rows, dtype=np.int64))

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
        return "ranking" in self.tasks

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
        judged = self if self.scores_everything else _Lists(self)
        return evaluate(judged, self.dataset, part, progress=progress)

    @property
    def scores_everything(self) -> bool:
        """Whether one pass scores the whole catalogue; a search for codes or titles gives lists."""
        return self.form == "set"


@dataclass(frozen=True)
class _Lists:
    """A recommender that gives lists alone."""

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
        return self.recommender.recommend(
            histories, n, candidates=candidates, exclude_seen=exclude_seen
        )
