"""Training of a recipe: its teacher, its stages, then blending and calibration."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from palate.artifacts import hash_text
from palate.data.dataset import Dataset
from palate.data.split import Fit
from palate.errors import ConfigError
from palate.inference.model_folder import TrainedModel
from palate.items.vectors import ItemVectors
from palate.language.tasks.task import Wordings
from palate.llm.place import SpeakerPlace
from palate.llm.speaker import Speaker
from palate.models.baselines import BaselineConfig, Fitting, fit_baseline
from palate.models.device import Device, choose_device
from palate.recommender.item_text import Reading, choose_text
from palate.recommender.prompted import prompted_system, tuned
from palate.recommender.steering import with_steering
from palate.recommender.tuned_text import check_tuned_elsewhere
from palate.recommender.validation import (
    MEASURE,
    calibration_tokens,
    next_item_validation,
    no_status,
    validation,
    with_blend,
    with_calibration,
    with_prior,
    with_weights_of,
)
from palate.training.baseline_trainer import GradientTrainer
from palate.training.batches import Mixture
from palate.training.build import build_system
from palate.training.loop import Report, Run, best_epoch, train
from palate.training.prompting import PromptingConfig
from palate.training.recipe import Recipe, load_recipe
from palate.training.step import PlainStep
from palate.training.system import LanguageModelSystem, Start
from palate.training.warm_start import known_items


@dataclass(frozen=True)
class Found:
    """A model trained on the split, and its teacher."""

    trained: TrainedModel
    teacher: "Found | None" = None


@dataclass(frozen=True)
class TrainingRun:
    """Everything that defines a training run, and its progress callbacks."""

    dataset: Dataset
    recipe: Recipe
    name: str
    """Display name of the recipe."""
    seed: int = 0
    start: TrainedModel | None = None
    """A trained model to start from."""
    prompts: Mapping[str, Wordings] | None = None
    """Wordings that replace or extend those of the package."""
    folder: Path | None = None
    """Folder of checkpoints and cached vectors; None keeps none."""
    report: Callable[[Report], None] | None = None
    encoding: Callable[[int, int], None] | None = None
    status: Callable[[str], None] = no_status
    """Called with what is done, in a few words, before work that reports nothing by itself."""

    device: Device = field(default_factory=choose_device)
    """Device and precision of training."""
    speaker: Speaker | SpeakerPlace | None = None
    """Who is asked by a recipe without training."""
    prompt_texts: Mapping[str, str] | None = None
    """The texts of its prompts."""
    fit: Fit = "train"
    """Last part to train on in the end; epochs, blend weights and calibrations are always found
    on the split."""

    def trained(self) -> TrainedModel:
        """Train, resuming from checkpoints if there are any.

        Raises:
            ConfigError: when the recipe cannot be used, ``start`` is a baseline, or held-out parts
                of the dataset were already moved into training.
        """
        for fit in ("train", self.fit):  # refuses a split not as it was made, and an unknown fit
            self.dataset.with_train_through(fit)
        found = self.found()
        return found.trained if self.fit == "train" else self.refitted(found)

    def found(self) -> Found:
        """Train on the split, and tune epochs, blend and calibration on the validation split."""
        dataset, seed = self.dataset, self.seed
        if self.recipe.baseline is not None:
            return Found(self._fitted(self.recipe.baseline, dataset))
        if self.recipe.prompting is not None:
            base = self._base(self.recipe.prompting)
            return Found(tuned(self._prompted(base, base.found().trained), self.seed))
        text = self.recipe.items.text
        if text.path is not None and text.kind in {"auto", "static"}:
            check_tuned_elsewhere(Path(text.path), dataset)
        if text.kind == "auto":
            return self._found_with_text_chosen()
        teacher = self._teacher()
        taught = None if teacher is None else teacher.found()
        system, mixtures = self._built(dataset, taught)
        logs = self._learned(system, mixtures)
        self._slow("Calibrating")
        system = with_blend(with_prior(system, dataset, seed), dataset, seed)
        system = with_steering(with_calibration(system, dataset, seed), dataset, seed)
        log, epochs = [entry for each in logs for entry in each], tuple(map(best_epoch, logs))
        trained = TrainedModel(self.name, self.recipe, dataset, system, log, seed, epochs)
        return Found(trained, taught)

    def _found_with_text_chosen(self) -> Found:
        """Choose what reads the items' texts, unless a model to start from brings its own; train.

        The choice comes with the first report of the training.
        """
        start = self.start
        if start is not None:
            read = Reading(start.recipe.items.text, start.recipe.model.fusion.whiten)
            return replace(self, recipe=read.of(self.recipe)).found()
        choice = choose_text(
            self.dataset,
            self.recipe,
            seed=self.seed,
            cache=self._vectors,
            progress=self.encoding,
        )
        report = None if self.report is None else _noted(self.report, str(choice))
        found = replace(self, recipe=choice.chosen.of(self.recipe), report=report).found()
        choices = {**found.trained.choices, "items.text": choice.facts}
        return replace(found, trained=replace(found.trained, choices=choices))

    def refitted(self, found: Found) -> TrainedModel:
        """Train again from scratch on the larger training part, with the settings found before."""
        if self.recipe.prompting is not None:
            base = self._base(self.recipe.prompting)
            again = replace(self, recipe=found.trained.recipe)
            return again._prompted(base, base.refitted(Found(found.trained.base)))
        if self.recipe.items.text.kind == "auto":
            return replace(self, recipe=found.trained.recipe).refitted(found)
        larger, before = self.dataset.with_train_through(self.fit), found.trained.language_model
        if self.recipe.baseline is not None:
            return self._fitted(self.recipe.baseline, larger, found.trained.epochs)
        assert before is not None
        teacher, taught = self._teacher(), None
        if teacher is not None and found.teacher is not None:
            taught = Found(teacher.refitted(found.teacher))
        system, mixtures = self._built(larger, taught)
        again = replace(self, folder=self.folder / "refit" if self.folder else None)
        again._learned(system, mixtures, found.trained.epochs)
        system = with_weights_of(system, before, larger, self.seed)
        return replace(found.trained, dataset=larger, system=system)

    def _base(self, prompting: PromptingConfig) -> "TrainingRun":
        """Return the training run of the recipe whose lists a language model is asked about."""
        recipe = load_recipe(prompting.base).in_precision(self.device.precision)
        if recipe.prompting is not None or not recipe.by_items_alone:
            raise ConfigError(
                f"The recipe {prompting.base!r} cannot be the base of {self.name!r}: it finds no "
                "items by itself.",
                hint="Set one that does: --set prompting.base=itemknn, or sasrec, urm, tiger.",
            )
        folder = self.folder / "base" if self.folder else None
        return replace(
            self, recipe=recipe, name=Path(prompting.base).stem, folder=folder, speaker=None
        )

    def _prompted(self, run: "TrainingRun", base: TrainedModel) -> TrainedModel:
        """Return the model that asks the speaker about the lists of its base."""
        settings, speaker, texts = self.recipe.prompting, self.speaker, self.prompt_texts
        assert settings is not None
        assert speaker is not None
        assert texts is not None
        system = prompted_system(base.system, (run.name, base.recipe), settings, texts, speaker)
        return replace(base, name=self.name, recipe=self.recipe, system=system)

    def _fitted(
        self, config: BaselineConfig, dataset: Dataset, epochs: Sequence[int] | None = None
    ) -> TrainedModel:
        """Fit a baseline; one that learns by gradient trains for the given ``epochs``, if any.

        Counting baselines have no epochs and nothing to tune on the validation split.
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
        """Return a new model, and the training mixture of each stage."""
        backbone = self.recipe.model.backbone
        if backbone is not None:
            self.status(f"Loading {Path(backbone.path).name}")
        system, mixtures = build_system(
            dataset,
            self.recipe,
            seed=self.seed,
            behaviour=None if taught is None else item_vectors(taught.trained),
            start=None if self.start is None else _beginning(self.start, dataset),
            prompts=self.prompts,
            cache=self._vectors,
            progress=self.encoding,
        )
        return system.on(self.device), mixtures

    @property
    def _vectors(self) -> Path | None:
        """The folder of encoded vectors."""
        return self.folder / "vectors" if self.folder else None

    def _teacher(self) -> "TrainingRun | None":
        """Return the training run of the recipe's teacher, if it has one."""
        if not self.recipe.teacher:
            return None
        return TrainingRun(
            self.dataset,
            load_recipe(self.recipe.teacher).in_precision(self.device.precision),
            name=self.recipe.teacher,
            seed=self.seed,
            folder=self.folder / "teacher" if self.folder else None,
            report=self.report,
            status=self.status,
            device=self.device,
            fit=self.fit,
        )

    def _learned(
        self,
        system: LanguageModelSystem,
        mixtures: list[Mixture],
        epochs: Sequence[int] | None = None,
    ) -> list[Sequence[Mapping[str, object]]]:
        """Train the stages in order and return the learning curve of each.

        With ``epochs`` (one number per stage) each stage runs so long, without validation.
        """
        origin, logs = self._origin(system), list[Sequence[Mapping[str, object]]]()
        if epochs is not None:
            origin += [self.fit, list(epochs)]
        work, stages = self.folder, self.recipe.resolved_stages
        later = calibration_tokens(system, self.dataset)
        for number, (stage, mixture) in enumerate(zip(stages, mixtures, strict=True)):
            validate = None
            if epochs is None:
                validate = validation(self.dataset, system, stage, mixture, self.seed)
                validate = replace(validate, status=self._slow)
            run = Run(
                batches=mixture,
                config=stage.training,
                validate=validate,
                measure="" if validate is None else validate.measure,
                name=hash_text(json.dumps([*origin, number])),
                folder=work / f"stage-{number + 1}" if work and self.recipe.stages else work,
                report=self.report if epochs is None else self._as_refit(),
                validated_tokens=0 if validate is None else validate.tokens,
                later_tokens=later if number + 1 == len(stages) and epochs is None else 0,
                where=self.device.training,
                epochs=None if epochs is None else epochs[number],
                step=PlainStep(stage.training.clip, self.device.trains_in_bfloat16),
            )
            logs.append(train(system.model, run))
        return logs

    def _slow(self, what: str) -> None:
        """Tell of work that is over at once with the compact model, and not with another."""
        if self.recipe.model.backbone is not None:
            self.status(what)

    def _as_refit(self) -> Callable[[Report], None] | None:
        """Return the report callback, with reports marked as a refit."""
        report = self.report
        return None if report is None else lambda at: report(replace(at, refit=True))

    def _decided_by(self) -> list[object]:
        """Return the key of every run: recipe, seed, data and initial weights.

        The descriptive settings of the recipe, such as its title, are not part of it.
        """
        recipe, start = self.recipe.decisive, _hash_of_weights(self.start)
        return [recipe, self.seed, fingerprint(self.dataset), start]

    def _origin(self, system: LanguageModelSystem) -> list[object]:
        """Return the full key of the run, including prompts."""
        origin = self._decided_by()
        if self.prompts is not None:
            origin.append({family: asdict(texts) for family, texts in system.prompts.items()})
        return origin


def item_vectors(teacher: TrainedModel) -> ItemVectors:
    """Return the output vectors of a teacher as behaviour vectors of its trained items.

    Raises:
        ConfigError: when the teacher is a baseline without item vectors.
    """
    values = teacher.system.item_vectors
    if values is None:
        raise ConfigError(
            f"The teacher {teacher.name!r} has no item vectors.",
            hint="Name one that has: sasrec, als, bpr.",
        )
    return ItemVectors.normalised(values, teacher.dataset.train_counts > 0)


def _noted(report: Callable[[Report], None], note: str) -> Callable[[Report], None]:
    """Return the report callback, whose first report says ``note`` too."""
    notes = [note]

    def noted(at: Report) -> None:
        said = " ".join(filter(None, [*notes, at.note]))
        notes.clear()
        report(replace(at, note=said))

    return noted


def _beginning(start: TrainedModel, dataset: Dataset) -> Start:
    if start.language_model is None:
        raise ConfigError(
            f"The baseline {start.name!r} has no weights to start from.",
            hint="Start from a language model: palate train DATASET MODEL --start OTHER",
        )
    return Start(start.language_model, known_items(dataset.catalog, start.dataset.catalog))


def _hash_of_weights(start: TrainedModel | None) -> str:
    """Return a hash of the weights a run starts from."""
    if start is None or start.language_model is None:
        return ""
    weights = start.language_model.model.state_dict().values()
    return hash_text("".join(hash_text(w.cpu().numpy().tobytes().hex()) for w in weights))


def fingerprint(dataset: Dataset) -> str:
    """Return a hash of what training reads of a dataset."""
    events, split = dataset.interactions, dataset.split
    arrays = (events.item_rows, events.offsets, events.event_codes, split.parts)
    texts = hash_text("\n".join(dataset.catalog.texts()))
    return hash_text(texts + "".join(hash_text(array.tobytes().hex()) for array in arrays))
