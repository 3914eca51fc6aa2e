"""The face of Palate in Python: train, load, recommend, search, explain, evaluate."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from palate.artifacts import hash_text
from palate.data.dataset import Dataset
from palate.data.split import PartName
from palate.errors import ConfigError, NotTrainedError
from palate.evaluation.protocol import evaluate
from palate.evaluation.result import Evaluation
from palate.inference.engine import Ask, LanguageEngine
from palate.inference.model_folder import Trained, load_model, save_model
from palate.inference.validating import validation, with_blend, with_prior
from palate.models.baselines import Baseline, fit_baseline
from palate.training.loop import Report, Run, train
from palate.training.parts import Parts, build_parts
from palate.training.recipe import Recipe, load_recipe
from palate.types import History, Ranking


@dataclass(frozen=True)
class Reason:
    """One event of the history and how much the item's score falls without it."""

    event: int
    """Place in the history, 0 is the oldest."""
    weight: float


class Recommender:
    """A trained system with its catalogue and users; a baseline and a model are used alike."""

    def __init__(self, trained: Trained) -> None:
        """Use :meth:`train` or :meth:`load` instead."""
        self.trained = trained

    @classmethod
    def train(  # noqa: PLR0913 - what to learn, and how the work is followed
        cls,
        dataset: Dataset,
        recipe: str | Recipe = "urm",
        *,
        seed: int = 0,
        start: "Recommender | None" = None,
        folder: Path | str | None = None,
        report: Callable[[Report], None] | None = None,
        encoding: Callable[[int, int], None] | None = None,
    ) -> "Recommender":
        """Train the system a recipe describes.

        Args:
            dataset: what to learn from; only its training part is read, and the valid part to stop
                in time.
            recipe: a name from ``palate recipes``, a path to a TOML file, or a recipe.
            seed: decides weights, batches, negatives: the same seed gives the same model on a CPU.
            start: a model of other data to start from: its encoders and all weights that do not
                belong to its items are taken over.
            folder: where checkpoints and cached vectors go, so that a killed run continues; None
                keeps none.
            report: told after each step how far the run is.
            encoding: told after each batch of encoded items how many are done, of how many.

        Raises:
            ConfigError: when the recipe is unknown or cannot be used, or ``start`` is a baseline.
        """
        chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
        name = recipe if isinstance(recipe, str) else recipe.title
        if chosen.baseline is not None:
            fitted = fit_baseline(
                chosen.baseline, dataset.sequences, len(dataset.catalog), seed=seed
            )
            return cls(Trained(name, chosen, dataset, fitted, [], seed))
        work = Path(folder) if folder is not None else None
        parts, mixtures = build_parts(
            dataset,
            chosen,
            seed=seed,
            start=_started(start),
            cache=work / "vectors" if work else None,
            progress=encoding,
        )
        origin = [chosen.model_dump(mode="json"), seed, fingerprint(dataset), _origin(start)]
        log: list[Mapping[str, object]] = []
        for number, (stage, mixture) in enumerate(zip(chosen.in_turn, mixtures, strict=True)):
            run = Run(
                mixture=mixture,
                config=stage.training,
                validate=validation(dataset, parts, stage, mixture, seed),
                name=hash_text(json.dumps([*origin, number])),
                folder=work / f"stage-{number + 1}" if work and chosen.stages else work,
                report=report,
            )
            log += train(parts.model, run)
        parts = with_blend(with_prior(parts, dataset, seed), dataset, seed)
        return cls(Trained(name, chosen, dataset, parts, log, seed))

    @classmethod
    def load(cls, folder: Path | str) -> "Recommender":
        """Read a model folder.

        Raises:
            ArtifactError: when the folder is not a model, or is damaged.
        """
        return cls(load_model(Path(folder)))

    def save(self, folder: Path | str, *, made_by: str = "python") -> None:
        """Write the model folder, whole or not at all."""
        save_model(Path(folder), self.trained, made_by=made_by)

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
        return LanguageEngine(system) if isinstance(system, Parts) else system

    @property
    def tasks(self) -> tuple[str, ...]:
        """The families of prompts it was trained on; none for a baseline."""
        system = self.trained.system
        return system.tasks if isinstance(system, Parts) else ()

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
        return self.engine.recommend(histories, n, candidates=candidates, exclude_seen=exclude_seen)

    def search(self, words: str, n: int = 10, history: History | None = None) -> Ranking:
        """Return the items that answer a query in words, for somebody with this history if given.

        Raises:
            NotTrainedError: when the model was not trained to search.
        """
        who = history or History(item_rows=np.zeros(0, dtype=np.int64))
        asked = self.asking(Ask(family="search", context=words))
        return asked.recommend([who], n, exclude_seen=False)[0]

    def why(self, history: History, item_row: int, n: int = 3) -> list[Reason]:
        """Return the ``n`` events without which the item's score falls most.

        Measured by scoring again without each.
        """
        if len(history) == 0:
            return []
        recent = range(max(0, len(history) - 50), len(history))
        shortened = [history, *(history.without(event) for event in recent)]
        scores = (
            self.engine.score_item(shortened, item_row)
            if isinstance(self.engine, LanguageEngine)
            else self.score(shortened)[:, item_row]
        )
        falls = scores[0] - scores[1:]
        best = np.argsort(-falls, kind="stable")[:n]
        return [Reason(recent[int(at)], float(falls[at])) for at in best if falls[at] > 0]

    def evaluate(
        self, part: PartName = "test", *, progress: Callable[[int, int], None] | None = None
    ) -> Evaluation:
        """Judge the model on its own dataset by full ranking."""
        judged = self if self.scores_everything else _Lists(self)
        return evaluate(judged, self.dataset, part, progress=progress)

    @property
    def scores_everything(self) -> bool:
        """Whether one pass scores the whole catalogue; a search over codes looks for lists."""
        return not isinstance(self.engine, LanguageEngine) or self.engine.form == "set"


def _started(start: Recommender | None) -> Parts | None:
    if start is None:
        return None
    system = start.trained.system
    if not isinstance(system, Parts):
        raise ConfigError(
            f"The baseline {start.name!r} has no weights to start from.",
            hint="Start from a language model: palate train DATASET MODEL --start OTHER",
        )
    return system


def _origin(start: Recommender | None) -> str:
    """Return a hash of the weights a run starts from."""
    if start is None or not isinstance(start.trained.system, Parts):
        return ""
    weights = start.trained.system.model.state_dict().values()
    return hash_text("".join(hash_text(w.cpu().numpy().tobytes().hex()) for w in weights))


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


def fingerprint(dataset: Dataset) -> str:
    """Return a hash of what training reads of a dataset."""
    events, split = dataset.interactions, dataset.split
    arrays = (events.item_rows, events.offsets, events.event_codes, split.parts)
    texts = hash_text("\n".join(dataset.catalog.texts()))
    return hash_text(texts + "".join(hash_text(array.tobytes().hex()) for array in arrays))
