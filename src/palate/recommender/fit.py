"""From data and a recipe to a trained system: its teacher, its stages, and what is tuned after."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from palate.artifacts import hash_text
from palate.data.dataset import Dataset
from palate.data.split import Fit
from palate.errors import ConfigError
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.items.vectors import ItemVectors
from palate.language.tasks.task import Wordings
from palate.models.baselines import BaselineConfig, Fitting, fit_baseline
from palate.models.device import Device, choose_device
from palate.recommender.validation import (
    MEASURE,
    next_item_validation,
    validation,
    with_blend,
    with_calibration,
    with_prior,
    with_weights_of,
)
from palate.training.baseline_trainer import GradientTrainer
from palate.training.batches import Mixture
from palate.training.build import build_parts
from palate.training.loop import Report, Run, best_epoch, train
from palate.training.recipe import Recipe, load_recipe
from palate.training.step import PlainStep
from palate.training.system import LanguageModelSystem, Start
from palate.training.warm_start import known_items


@dataclass(frozen=True)
class Found:
    """A model trained on the split, and the teacher it had."""

    trained: TrainedModel
    teacher: "Found | None" = None


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

    device: Device = field(default_factory=choose_device)
    """Where to learn, and in which numbers."""
    fit: Fit = "train"
    """Through which part to learn in the end; epochs, weights of mixtures and calibrations are
    found on the split in any case."""

    def trained(self) -> TrainedModel:
        """Do the work, or what is left of it.

        Raises:
            ConfigError: when the recipe cannot be used, or what to start from is a baseline, or
                the dataset is one whose held-out parts were moved into training already.
        """
        for fit in ("train", self.fit):  # refuses a split not as it was made, and an unknown fit
            self.dataset.with_train_through(fit)
        found = self.found()
        return found.trained if self.fit == "train" else self.refitted(found)

    def found(self) -> Found:
        """Train on the split, and find what is to be found on its valid part."""
        dataset, seed = self.dataset, self.seed
        if self.recipe.baseline is not None:
            return Found(self._fitted(self.recipe.baseline, dataset))
        teacher = self._teacher()
        taught = None if teacher is None else teacher.found()
        parts, mixtures = self._built(dataset, taught)
        logs = self._learned(parts, mixtures)
        parts = with_blend(with_prior(parts, dataset, seed), dataset, seed)
        parts = with_calibration(parts, dataset, seed)
        log, epochs = [entry for each in logs for entry in each], tuple(map(best_epoch, logs))
        trained = TrainedModel(self.name, self.recipe, dataset, parts, log, seed, epochs)
        return Found(trained, taught)

    def refitted(self, found: Found) -> TrainedModel:
        """Train anew, from the start, on all that may be learned from, with what was found."""
        larger, system = self.dataset.with_train_through(self.fit), found.trained.system
        if self.recipe.baseline is not None:
            return self._fitted(self.recipe.baseline, larger, found.trained.epochs)
        assert isinstance(system, LanguageModelSystem)
        teacher, taught = self._teacher(), None
        if teacher is not None and found.teacher is not None:
            taught = Found(teacher.refitted(found.teacher))
        parts, mixtures = self._built(larger, taught)
        again = replace(self, folder=self.folder / "refit" if self.folder else None)
        again._learned(parts, mixtures, found.trained.epochs)
        parts = with_weights_of(parts, system, larger, self.seed)
        return replace(found.trained, dataset=larger, system=parts)

    def _fitted(
        self, config: BaselineConfig, dataset: Dataset, epochs: Sequence[int] | None = None
    ) -> TrainedModel:
        """Fit a baseline; where it learns by gradient, for the ``epochs`` that were found before.

        What counts alone has nothing to find on the validation split: it has no epochs.
        """
        refit = epochs is not None
        trainer = GradientTrainer(
            name=hash_text(json.dumps([*self._decided_by(), self.fit if refit else "", epochs])),
            on=self.device,
            validate=None if refit else next_item_validation(self.dataset, self.seed),
            measure="" if refit else MEASURE,
            epochs=epochs[0] if epochs else None,
            folder=self.folder / "refit" if self.folder and refit else self.folder,
            report=self._as_refit() if refit else self.report,
        )
        fitting = Fitting(self.seed, trainer)
        fitted = fit_baseline(config, dataset.sequences, len(dataset.catalog), fitting)
        found = () if trainer.best_epoch is None else (trainer.best_epoch,)
        curve = [] if refit else trainer.curve
        return TrainedModel(
            self.name, self.recipe, dataset, fitted, curve, self.seed, tuple(epochs or found)
        )

    def _built(
        self, dataset: Dataset, taught: Found | None
    ) -> tuple[LanguageModelSystem, list[Mixture]]:
        """Return a fresh model and what each of its stages learns from."""
        parts, mixtures = build_parts(
            dataset,
            self.recipe,
            seed=self.seed,
            behaviour=None if taught is None else item_vectors(taught.trained),
            start=None if self.start is None else _beginning(self.start, dataset),
            prompts=self.prompts,
            cache=self.folder / "vectors" if self.folder else None,
            progress=self.encoding,
        )
        return parts.on(self.device), mixtures

    def _teacher(self) -> "TrainingRun | None":
        """Return the run of the recipe's teacher, where it has one."""
        if not self.recipe.teacher:
            return None
        return TrainingRun(
            self.dataset,
            load_recipe(self.recipe.teacher),
            name=self.recipe.teacher,
            seed=self.seed,
            folder=self.folder / "teacher" if self.folder else None,
            report=self.report,
            device=self.device,
            fit=self.fit,
        )

    def _learned(
        self,
        parts: LanguageModelSystem,
        mixtures: list[Mixture],
        epochs: Sequence[int] | None = None,
    ) -> list[Sequence[Mapping[str, object]]]:
        """Train the stages in turn and return what each said of itself.

        With ``epochs``, one number per stage, so many are done and nothing is validated.
        """
        origin, logs = self._origin(parts), list[Sequence[Mapping[str, object]]]()
        if epochs is not None:
            origin += [self.fit, list(epochs)]
        work, stages = self.folder, self.recipe.resolved_stages
        for number, (stage, mixture) in enumerate(zip(stages, mixtures, strict=True)):
            validate = None
            if epochs is None:
                validate = validation(self.dataset, parts, stage, mixture, self.seed)
            run = Run(
                batches=mixture,
                config=stage.training,
                validate=validate,
                measure="" if validate is None else validate.measure,
                name=hash_text(json.dumps([*origin, number])),
                folder=work / f"stage-{number + 1}" if work and self.recipe.stages else work,
                report=self.report if epochs is None else self._as_refit(),
                epochs=None if epochs is None else epochs[number],
                step=PlainStep(stage.training.clip, self.device.trains_in_bfloat16),
            )
            logs.append(train(parts.model, run))
        return logs

    def _as_refit(self) -> Callable[[Report], None] | None:
        """Return whom to report to that epochs found before are done again."""
        report = self.report
        return None if report is None else lambda at: report(replace(at, refit=True))

    def _decided_by(self) -> list[object]:
        """Return what decides every run: recipe, seed, data and the weights it starts from.

        What the recipe is called does not.
        """
        recipe, start = self.recipe.decisive, _hash_of_weights(self.start)
        return [recipe, self.seed, fingerprint(self.dataset), start]

    def _origin(self, parts: LanguageModelSystem) -> list[object]:
        """Return everything that decides the run."""
        origin = self._decided_by()
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
        values = PromptRunner(system).outputs_DI.T
    elif system.item_vectors is not None:
        values = system.item_vectors
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
