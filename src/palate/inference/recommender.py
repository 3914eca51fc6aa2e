"""The face of Palate in Python: train, load, recommend, search, explain, evaluate."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from palate.artifacts import hash_text
from palate.data.dataset import Cases, Dataset
from palate.data.split import PartName
from palate.errors import ConfigError, NotTrainedError
from palate.evaluation.protocol import evaluate
from palate.evaluation.result import Evaluation
from palate.inference.engine import Ask, LanguageEngine
from palate.inference.model_folder import Trained, load_model, save_model
from palate.models.baselines import Baseline, fit_baseline
from palate.models.language_model import RecommendationModel
from palate.training.loop import Report, Run, Validate, train
from palate.training.parts import Blend, Parts, Prior, build_parts
from palate.training.recipe import Recipe, load_recipe
from palate.types import History, Ranking

_logger = logging.getLogger(__name__)

_VALIDATION_USERS = 20_000
"""More users than this are sampled for the validation within training; the evaluation takes all."""

_SEARCHED_USERS = 2_000
"""The same where each needs a search of its own."""

_CUTOFF = 10


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
        parts, mixture = build_parts(
            dataset,
            chosen,
            seed=seed,
            start=_started(start),
            cache=work / "vectors" if work else None,
            progress=encoding,
        )
        run = Run(
            mixture=mixture,
            config=chosen.training,
            validate=_validation(dataset, parts, seed),
            name=hash_text(
                json.dumps(
                    [chosen.model_dump(mode="json"), seed, fingerprint(dataset), _origin(start)]
                )
            ),
            folder=work,
            report=report,
        )
        log = train(parts.model, run)
        parts = _with_blend(_with_prior(parts, dataset, seed), dataset, seed)
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


def _validation(dataset: Dataset, parts: Parts, seed: int) -> Validate:
    """Return NDCG@10 on the valid part, history masked, as a function of the model."""
    searched = parts.forms[0] == "codes"
    cases = _sample(
        dataset.cases("valid"), _SEARCHED_USERS if searched else _VALIDATION_USERS, seed
    )
    ask = _main_ask(parts, dataset)

    def validate(model: RecommendationModel) -> float:
        engine = LanguageEngine(replace(parts, model=model), ask)
        if searched:
            return ndcg_of_lists(engine.recommend(cases.histories, _CUTOFF), cases)
        return ndcg_of([engine.score], [1.0], cases)[0]

    return validate


def _main_ask(parts: Parts, dataset: Dataset) -> Ask:
    """Return the question a model is validated by: the next item where it was trained on that."""
    family = "next-item" if "next-item" in parts.tasks else parts.tasks[0]
    events = dataset.interactions
    slots = {"event": events.event_types[0], "scenario": next(iter(events.scenarios), "")}
    return Ask(family=family, slots=slots)


def _with_prior(parts: Parts, dataset: Dataset, seed: int) -> Parts:
    """Fit the recipe's prior and give it the weight that is best on the valid part."""
    config = parts.recipe.prior
    cases = _sample(dataset.cases("valid"), _VALIDATION_USERS, seed)
    if config is None or "next-item" not in parts.tasks or not len(cases):
        return parts
    baseline = fit_baseline(config.baseline, dataset.sequences, len(dataset.catalog), seed=seed)
    values = ndcg_of([LanguageEngine(parts).score, baseline.score], config.weights, cases)
    best = int(np.argmax(values))
    _logger.info("prior weight %g: validation NDCG@10 %.4f", config.weights[best], values[best])
    return replace(parts, prior=Prior(baseline, config.weights[best]))


def _with_blend(parts: Parts, dataset: Dataset, seed: int) -> Parts:
    """Weigh codes against the set in hybrid answers as is best on the valid part."""
    config = parts.recipe.codes
    cases = _sample(dataset.cases("valid"), _SEARCHED_USERS, seed)
    if config is None or "hybrid" not in parts.forms or not len(cases):
        return parts
    ask = replace(_main_ask(parts, dataset), form="hybrid")
    tried = [replace(parts, blend=Blend(weight)) for weight in config.blend_weights]
    values = [
        ndcg_of_lists(LanguageEngine(each, ask).recommend(cases.histories, _CUTOFF), cases)
        for each in tried
    ]
    best = int(np.argmax(values))
    _logger.info("blend %g: validation NDCG@10 %.4f", config.blend_weights[best], values[best])
    return tried[best]


def ndcg_of(
    scorers: Sequence[Callable[[Sequence[History]], Float[np.ndarray, "users items"]]],
    weights: Sequence[float],
    cases: Cases,
) -> list[float]:
    """Return mean NDCG@10 of the first target of each case, history masked; 0 without a case.

    The first scorer counts fully; the second, if any, with each of ``weights`` in turn: one value
    per weight.
    """
    gains: list[list[float]] = [[] for _ in weights]
    for start in range(0, len(cases), 512):
        histories = cases.histories[start : start + 512]
        wanted = np.asarray([targets[0] for targets in cases.targets[start : start + 512]])
        main, *others = [scorer(histories) for scorer in scorers]
        for user, history in enumerate(histories):
            main[user, history.item_rows] = -np.inf
        for gain, weight in zip(gains, weights, strict=True):
            scores = main + np.float32(weight) * others[0] if others else main
            own = scores[np.arange(len(wanted)), wanted]
            # A target that the history holds cannot be found with the history masked.
            places = np.where(own > -np.inf, (scores > own[:, None]).sum(axis=1), _CUTOFF)
            gain += np.where(places < _CUTOFF, 1 / np.log2(places + 2), 0.0).tolist()
    return [float(np.mean(gain)) if gain else 0.0 for gain in gains]


def ndcg_of_lists(lists: Sequence[Ranking], cases: Cases) -> float:
    """Return mean NDCG@10 of the first target of each case; 0 without a case."""
    gains = []
    for ranking, targets in zip(lists, cases.targets, strict=True):
        places = np.flatnonzero(ranking.item_rows[:_CUTOFF] == targets[0])
        gains.append(1 / np.log2(places[0] + 2) if len(places) else 0.0)
    return float(np.mean(gains)) if gains else 0.0


def _sample(cases: Cases, num_users: int, seed: int) -> Cases:
    if len(cases) <= num_users:
        return cases
    chosen = np.random.default_rng(seed).choice(len(cases), num_users, replace=False)
    return Cases([cases.histories[i] for i in chosen], [cases.targets[i] for i in chosen])
