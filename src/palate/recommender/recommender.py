"""The face of Palate in Python: train, load, recommend, search, explain, evaluate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from palate.data.dataset import Dataset
from palate.data.split import Fit, PartName
from palate.errors import ConfigError, NotTrainedError
from palate.evaluation.protocol import evaluate
from palate.evaluation.result import Evaluation
from palate.inference.answers import Answers, Explained, Rated
from palate.inference.ask import Ask
from palate.inference.engine import LanguageEngine
from palate.inference.model_folder import TrainedModel, load_model, save_model
from palate.inference.title_search import TitleSearch
from palate.language.prompts import Wordings, load_prompts
from palate.models.baselines import Baseline
from palate.models.device import Precision, choose_device
from palate.models.trainable_state import merged
from palate.recommender.fit import TrainingRun
from palate.training.loop import Report
from palate.training.recipe import Recipe, load_recipe
from palate.training.system import LanguageModelSystem
from palate.types import History, Ranking


@dataclass(frozen=True)
class Reason:
    """One event of the history and how much the item's score falls without it."""

    event: int
    """Place in the history, 0 is the oldest."""
    weight: float


class Recommender:
    """A trained system with its catalogue and users; a baseline and a model are used alike."""

    def __init__(self, trained: TrainedModel) -> None:
        """Use :meth:`train` or :meth:`load` instead."""
        self.trained = trained

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
        return cls(load_model(Path(folder), choose_device(device, precision)))

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
    def engine(self) -> LanguageEngine | Baseline:
        """What scores."""
        system = self.trained.system
        return LanguageEngine(system) if isinstance(system, LanguageModelSystem) else system

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

    def history_of(self, item_ids: Sequence[str]) -> History:
        """Return the history of somebody new who chose these items, oldest first.

        Raises:
            UnknownItemError: naming the first id that the catalogue does not hold.
        """
        return History(item_rows=self.dataset.catalog.vocabulary.rows(item_ids))

    def asking(self, ask: Ask) -> "Recommender":
        """Return the same model asked in another way: another task, or free words.

        Raises:
            NotTrainedError: when it is a baseline, or was not trained on that task.
        """
        if not isinstance(self.engine, LanguageEngine):
            raise NotTrainedError(
                f"The baseline {self.name!r} reads no words.",
                hint="Train a language model: palate train DATASET MODEL --recipe urm",
            )
        other = Recommender(self.trained)
        other.__dict__["engine"] = self.engine.asking(ask)
        return other

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return one score per user and catalogue row, higher is better."""
        return self.engine.score(histories)

    def recommend(
        self,
        histories: Sequence[History],
        n: int = 10,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history."""
        finder = self._by_titles or self.engine
        return finder.recommend(histories, n, candidates=candidates, exclude_seen=exclude_seen)

    def search(self, words: str, n: int = 10, history: History | None = None) -> Ranking:
        """Return the items that answer a query in words, for somebody with this history if given.

        Raises:
            NotTrainedError: when the model was not trained to search.
        """
        who = history or History(item_rows=np.zeros(0, dtype=np.int64))
        candidates = self.asking(Ask(family="search", context=words))
        return candidates.recommend([who], n, exclude_seen=False)[0]

    def why(self, history: History, item_row: int, n: int = 3) -> list[Reason]:
        """Return the ``n`` events without which the item's score falls most.

        Measured by scoring again without each.
        """
        if len(history) == 0:
            return []
        recent = range(max(0, len(history) - 50), len(history))
        shortened = [history, *(history.without(event) for event in recent)]
        finder = self._by_titles or self.engine
        scores = (
            self.score(shortened)[:, item_row]
            if isinstance(finder, Baseline)
            else finder.score_item(shortened, item_row)
        )
        if scores[0] == -np.inf:  # it cannot be answered at all: nothing speaks for it
            return []
        falls = scores[0] - scores[1:]
        best = np.argsort(-falls, kind="stable")[:n]
        return [Reason(recent[int(at)], float(falls[at])) for at in best if falls[at] > 0]

    @cached_property
    def answers(self) -> Answers:
        """What it answers in words.

        Raises:
            NotTrainedError: when it answers nothing in words.
        """
        if not isinstance(self.engine, LanguageEngine):
            raise NotTrainedError(
                f"The baseline {self.name!r} says no words.",
                hint="Train a model that does: palate train DATASET MODEL --recipe palate",
            )
        return Answers(self.engine, self.dataset)

    def rate(self, history: History, item_row: int) -> Rated:
        """Return how somebody with this history rates an item.

        Raises:
            NotTrainedError: when the model was not trained to rate.
        """
        return self.answers.rate(history, item_row)

    def explain(
        self, history: History, item_row: int, aspect: str = "", *, ground: bool = True
    ) -> Explained:
        """Return why an item fits somebody with this history, on an aspect if one is given.

        Sentences that claim what the catalogue does not bear out are left out unless ``ground`` is
        False.

        Raises:
            NotTrainedError: when the model was not trained to explain.
        """
        return self.answers.explain(history, item_row, aspect, ground=ground)

    def summarise(self, text: str) -> str:
        """Return a short title for a review.

        Raises:
            NotTrainedError: when the model was not trained to summarise.
        """
        return self.answers.summarise(text)

    def profile(self, history: History) -> str:
        """Return in a sentence what somebody with this history likes.

        Raises:
            NotTrainedError: when the model was not trained to describe users.
        """
        return self.answers.profile(history)

    def rank(self, history: History, item_rows: Sequence[int]) -> Ranking:
        """Return these items, best first for somebody with this history.

        Scores are what :attr:`ranked_by` says.

        Raises:
            NotTrainedError: when the model answers neither.
        """
        rows = np.asarray(item_rows, dtype=np.int64)
        if self.tells_chances or self._chooses or not self.recommends:
            return self.answers.rank(history, rows)
        return self.recommend([history], len(rows), candidates=rows, exclude_seen=False)[0]

    @property
    def ranked_by(self) -> str:
        """What the scores of :meth:`rank` are.

        Calibrated chances where the model was trained on yes or no; where it was trained to choose,
        what its choice among all of them gives to each; else those it recommends by.
        """
        if self.tells_chances:
            return "chance that each is chosen"
        return "share of the choice among them" if self._chooses else "scores as in recommend"

    @property
    def _chooses(self) -> bool:
        """Whether it says which of some candidates is next."""
        return "choice" in self.tasks

    @property
    def tells_chances(self) -> bool:
        """Whether it gives the chance that an item is for a user."""
        return "ranking" in self.tasks

    @property
    def recommends(self) -> bool:
        """Whether it finds items in the whole catalogue by itself."""
        system = self.trained.system
        return not isinstance(system, LanguageModelSystem) or bool(system.forms)

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
        return not isinstance(self.engine, LanguageEngine) or self.engine.form == "set"

    @cached_property
    def _by_titles(self) -> TitleSearch | None:
        """What finds items by their titles; None where it answers in another form."""
        if not isinstance(self.engine, LanguageEngine) or self.engine.form != "titles":
            return None
        return TitleSearch(self.answers, self.engine.ask.prompt)


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
