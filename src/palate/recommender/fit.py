"""From data and a recipe to a trained system: its teacher, its stages, and what is tuned after."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from palate.artifacts import hash_text
from palate.data.dataset import Dataset
from palate.errors import ConfigError
from palate.inference.engine import LanguageEngine
from palate.inference.model_folder import TrainedModel
from palate.items.vectors import ItemVectors
from palate.language.prompts import Wordings
from palate.models.baselines import fit_baseline
from palate.models.baselines.factors import Als, Bpr
from palate.recommender.validation import validation, with_blend, with_calibration, with_prior
from palate.training.batches import Mixture
from palate.training.build import build_parts
from palate.training.loop import Report, Run, train
from palate.training.recipe import Recipe, load_recipe
from palate.training.system import LanguageModelSystem, Start
from palate.training.warm_start import known_items


@dataclass(frozen=True)
class TrainingRun:
    """What is learned from what, and how the work is followed."""

    dataset: Dataset
    recipe: Recipe
    name: str
    """What a person calls the recipe."""
    seed: int = 0
    start: TrainedModel | None = None
    """A trained model to start from."""
    prompts: Mapping[str, Wordings] | None = None
    """Wordings in place of those of the package, or beside them."""
    folder: Path | None = None
    """Where checkpoints and cached vectors go; None keeps none."""
    report: Callable[[Report], None] | None = None
    encoding: Callable[[int, int], None] | None = None

    def trained(self) -> TrainedModel:
        """Do the work, or what is left of it.

        Raises:
            ConfigError: when the recipe cannot be used, or what to start from is a baseline.
        """
        recipe, dataset, seed = self.recipe, self.dataset, self.seed
        if recipe.baseline is not None:
            fitted = fit_baseline(
                recipe.baseline, dataset.sequences, len(dataset.catalog), seed=seed
            )
            return TrainedModel(self.name, recipe, dataset, fitted, [], seed)
        parts, mixtures = build_parts(
            dataset,
            recipe,
            seed=seed,
            behaviour=self._taught(),
            start=None if self.start is None else _beginning(self.start, dataset),
            prompts=self.prompts,
            cache=self.folder / "vectors" if self.folder else None,
            progress=self.encoding,
        )
        log = self._learn(parts, mixtures)
        parts = with_blend(with_prior(parts, dataset, seed), dataset, seed)
        parts = with_calibration(parts, dataset, seed)
        return TrainedModel(self.name, recipe, dataset, parts, log, seed)

    def _taught(self) -> ItemVectors | None:
        """Train the teacher, where the recipe has one, and return its item vectors."""
        if not self.recipe.teacher:
            return None
        teacher = TrainingRun(
            self.dataset,
            load_recipe(self.recipe.teacher),
            name=self.recipe.teacher,
            seed=self.seed,
            folder=self.folder / "teacher" if self.folder else None,
            report=self.report,
        )
        return item_vectors(teacher.trained())

    def _learn(
        self, parts: LanguageModelSystem, mixtures: list[Mixture]
    ) -> list[Mapping[str, object]]:
        """Train the stages in turn and return what each said of itself."""
        origin, log = self._origin(parts), list[Mapping[str, object]]()
        work, stages = self.folder, self.recipe.resolved_stages
        for number, (stage, mixture) in enumerate(zip(stages, mixtures, strict=True)):
            validate = validation(self.dataset, parts, stage, mixture, self.seed)
            run = Run(
                mixture=mixture,
                config=stage.training,
                validate=validate,
                measure=validate.measure,
                name=hash_text(json.dumps([*origin, number])),
                folder=work / f"stage-{number + 1}" if work and self.recipe.stages else work,
                report=self.report,
            )
            log += train(parts.model, run)
        return log

    def _origin(self, parts: LanguageModelSystem) -> list[object]:
        """Return everything that decides the run."""
        recipe, start = self.recipe.model_dump(mode="json"), _hash_of_weights(self.start)
        origin: list[object] = [recipe, self.seed, fingerprint(self.dataset), start]
        if self.prompts is not None:
            origin.append({family: asdict(texts) for family, texts in parts.prompts.items()})
        return origin


def item_vectors(teacher: TrainedModel) -> ItemVectors:
    """Return what users are compared with, as behaviour vectors: of items it learned of alone.

    Raises:
        ConfigError: when it is a baseline that has no such vectors.
    """
    system = teacher.system
    if isinstance(system, LanguageModelSystem):
        values = LanguageEngine(system).outputs.float().cpu().numpy()
    elif isinstance(system, Als | Bpr):
        values = system.item_factors
    else:
        raise ConfigError(
            f"The teacher {teacher.name!r} has no item vectors.",
            hint="Name one that has: sasrec, als, bpr.",
        )
    return ItemVectors.normalised(values, teacher.dataset.train_counts > 0)


def _beginning(start: TrainedModel, dataset: Dataset) -> Start:
    if not isinstance(start.system, LanguageModelSystem):
        raise ConfigError(
            f"The baseline {start.name!r} has no weights to start from.",
            hint="Start from a language model: palate train DATASET MODEL --start OTHER",
        )
    return Start(start.system, known_items(dataset.catalog, start.dataset.catalog))


def _hash_of_weights(start: TrainedModel | None) -> str:
    """Return a hash of the weights a run starts from."""
    if start is None or not isinstance(start.system, LanguageModelSystem):
        return ""
    weights = start.system.model.state_dict().values()
    return hash_text("".join(hash_text(w.cpu().numpy().tobytes().hex()) for w in weights))


def fingerprint(dataset: Dataset) -> str:
    """Return a hash of what training reads of a dataset."""
    events, split = dataset.interactions, dataset.split
    arrays = (events.item_rows, events.offsets, events.event_codes, split.parts)
    texts = hash_text("\n".join(dataset.catalog.texts()))
    return hash_text(texts + "".join(hash_text(array.tobytes().hex()) for array in arrays))
