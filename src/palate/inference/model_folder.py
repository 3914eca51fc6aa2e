"""A trained model on disk: one self-contained folder of safetensors, Parquet and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from palate.artifacts import Manifest, read_manifest, understanding, verify, writing
from palate.config import checked
from palate.data.dataset import Dataset
from palate.data.split import LEARNED_TOO, Fit
from palate.errors import ArtifactError, ConfigError
from palate.evaluation.calibration import Calibration, LevelCalibration
from palate.evaluation.rating_baselines import ItemBiases
from palate.inference.prompting.folder import check_kept, load_prompting, save_prompting
from palate.items.codes.index import About, ItemIndex
from palate.items.encoders import ItemEncoders
from palate.items.features import ItemFeatures
from palate.language.tasks.task import Wordings
from palate.language.tasks.yes_no import YesNo
from palate.language.tokenizer import Tokenizer
from palate.models.backbones.config import BackboneConfig, content_of, empty_backbone
from palate.models.backbones.pretrained import PretrainedBackbone
from palate.models.baselines import Baseline, load_baseline
from palate.models.device import Device, choose_device
from palate.models.language_model import RecommendationModel
from palate.models.trainable_state import load_trainable_state, trainable_state, tune_backbone
from palate.training.build import entities_of, item_format_of
from palate.training.recipe import LANGUAGE_MODEL_PARTS, Recipe
from palate.training.system import (
    Blend,
    LanguageModelSystem,
    Prior,
    PromptedSystem,
    RatingPrior,
    System,
)

_WEIGHTS = "weights.safetensors"
_ARCHITECTURE = "backbone"
"""Settings of a pre-trained model all of whose weights are the model's own."""


@dataclass(frozen=True)
class TrainedModel:
    """Result of training: the system, its dataset and its learning curve."""

    name: str
    recipe: Recipe
    dataset: Dataset
    system: System
    log: Sequence[Mapping[str, object]]
    """The learning curve, one entry per validation."""
    seed: int
    epochs: tuple[int, ...] = ()
    """Best epoch of each stage on the validation split; empty for a counting baseline."""
    choices: Mapping[str, object] = field(default_factory=dict)
    """What the validation split chose before training, with the figures, by the setting; JSON
    values only."""

    @property
    def language_model(self) -> LanguageModelSystem | None:
        """The system, if it is a language model."""
        return self.system if isinstance(self.system, LanguageModelSystem) else None

    @property
    def baseline(self) -> Baseline | None:
        """The system, if it is a baseline."""
        return self.system if isinstance(self.system, Baseline) else None

    @property
    def prompted(self) -> PromptedSystem | None:
        """The system, if it is a language model that was not trained here but is asked."""
        return self.system if isinstance(self.system, PromptedSystem) else None

    @property
    def base(self) -> "TrainedModel":
        """What was trained: the base of a prompted model, else the model itself."""
        if not isinstance(self.system, PromptedSystem):
            return self
        system, recipe = self.system.base, self.system.base_recipe
        return replace(self, name=self.system.base_name, recipe=recipe, system=system)

    @property
    def fit(self) -> Fit:
        """Last part of the data that it learned from; ``dataset`` has those events for training."""
        return self.dataset.split.fit


def save_model(folder: Path, trained: TrainedModel, *, made_by: str = "python") -> None:
    """Write the model folder atomically."""
    recipe, borrowed = _findable(trained.recipe), _borrowed(trained.base)
    check_kept(trained.prompted)
    manifest = Manifest(
        kind="model",
        name=trained.name,
        made_by=made_by,
        inputs={} if borrowed is None else {"backbone": content_of(borrowed)},
        seed=trained.seed,
        settings={
            "tasks": list(trained.base.system.tasks),
            "ratings": list(trained.system.ratings),
            "backbone": borrowed,
            "fit": trained.fit,
            "epochs": list(trained.epochs),
            "choices": dict(trained.choices),
            "cannot_be_evaluated_on": list(LEARNED_TOO[trained.fit]),
        },
    )
    with writing(folder, manifest) as temporary:
        _write_recipe(temporary / "recipe.json", recipe)
        lines = [json.dumps(dict(entry)) + "\n" for entry in trained.log]
        (temporary / "training.jsonl").write_text("".join(lines), encoding="utf-8")
        trained.dataset.save(temporary / "dataset", made_by=f"copy in model {trained.name}")
        base = trained.base
        if base.language_model is not None:
            _save_system(temporary, base.language_model)
        if base.baseline is not None:
            base.baseline.save(temporary / "baseline")
        if trained.prompted is not None:
            _write_recipe(temporary / "base.json", _findable(base.recipe))
            save_prompting(temporary, trained.prompted)


def load_model(folder: Path, device: Device | None = None) -> TrainedModel:
    """Read a model folder onto ``device``; None means a GPU if there is one, else the CPU.

    Raises:
        ArtifactError: when the folder is not a model, or is damaged.
    """
    manifest = read_manifest(folder, "model")
    verify(folder, manifest)
    with understanding(folder, manifest):
        return _read(folder, manifest, device or choose_device())


def _read(folder: Path, manifest: Manifest, device: Device) -> TrainedModel:
    recipe = _recipe(folder / "recipe.json")
    dataset = Dataset.load(folder / "dataset")
    lines = (folder / "training.jsonl").read_text(encoding="utf-8").splitlines()
    return TrainedModel(
        name=manifest.name,
        recipe=recipe,
        dataset=dataset,
        system=_any_system(folder, recipe, dataset, manifest, device),
        log=[json.loads(line) for line in lines],
        seed=manifest.seed or 0,
        epochs=_epochs(manifest),
        choices=_choices(manifest),
    )


def _any_system(
    folder: Path, recipe: Recipe, dataset: Dataset, manifest: Manifest, device: Device
) -> System:
    if recipe.prompting is not None:
        below = _recipe(folder / "base.json")
        base = _any_system(folder, below, dataset, manifest, device)
        return load_prompting(folder, recipe.prompting, below, base)
    if recipe.baseline is not None:
        return load_baseline(folder / "baseline")
    return _load_system(folder, recipe, dataset, manifest).on(device)


def _write_recipe(path: Path, recipe: Recipe) -> None:
    # A recipe that trains no language model lacks these keys, and is refused with them.
    absent = None if recipe.learns_language else set(LANGUAGE_MODEL_PARTS)
    text = recipe.model_dump_json(indent=2, exclude=absent)
    path.write_text(text + "\n", encoding="utf-8")


def _epochs(manifest: Manifest) -> tuple[int, ...]:
    epochs = manifest.settings.get("epochs", [])
    return tuple(int(each) for each in epochs) if isinstance(epochs, list) else ()


def _choices(manifest: Manifest) -> dict[str, object]:
    choices = manifest.settings.get("choices", {})
    return dict(choices) if isinstance(choices, dict) else {}


def _recipe(path: Path) -> Recipe:
    folder = path.parent
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return checked(Recipe, told, f"The recipe in {str(folder)!r}")
    except (ValueError, ConfigError) as error:
        raise ArtifactError(
            error.message if isinstance(error, ConfigError) else f"{str(folder)!r}: {error}",
            hint="Train the model again; or, if a later version of Palate made it, upgrade: "
            "pip install -U palate",
        ) from error


def _tasks(manifest: Manifest) -> tuple[str, ...]:
    names = manifest.settings.get("tasks")
    if not isinstance(names, list):
        raise ArtifactError(
            f"The model {manifest.name!r} does not say which tasks it was trained on.",
            hint="Train the model again.",
        )
    return tuple(str(name) for name in names)


def _save_system(folder: Path, system: LanguageModelSystem) -> None:
    _save_weights(folder, system.model)
    system.features.save(folder / "features.safetensors")
    system.tokenizer.save(folder / "tokenizer.json")
    system.encoders.save(folder / "encoders")
    if system.prior is not None:
        system.prior.baseline.save(folder / "prior")
        (folder / "prior.json").write_text(
            json.dumps({"weight": system.prior.weight}) + "\n", encoding="utf-8"
        )
    if YesNo.name in system.tasks:
        calibration = json.dumps(asdict(system.calibration))
        (folder / "calibration.json").write_text(calibration + "\n", encoding="utf-8")
    for name, prior in (("rating", system.rating_prior), ("liking", system.like_prior)):
        if prior is not None:
            _save_biases(folder, name, prior)
    if system.index is not None:
        (folder / "blend.json").write_text(
            json.dumps(asdict(system.blend)) + "\n", encoding="utf-8"
        )
        system.index.save(folder / "codes", About("codes of the model's items"))
    prompts = {family: asdict(wordings) for family, wordings in system.prompts.items()}
    (folder / "prompts.json").write_text(json.dumps(prompts, indent=2) + "\n", encoding="utf-8")


def _ratings(manifest: Manifest) -> tuple[float, ...]:
    levels = manifest.settings.get("ratings", [])
    return tuple(float(level) for level in levels) if isinstance(levels, list) else ()


def _load_system(
    folder: Path, recipe: Recipe, dataset: Dataset, manifest: Manifest
) -> LanguageModelSystem:
    features = ItemFeatures.load(folder / "features.safetensors")
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    index = ItemIndex.load(folder / "codes") if recipe.codes is not None else None
    backbone = _own_backbone(folder, recipe, manifest)
    with torch.random.fork_rng():
        model = RecommendationModel(
            recipe.model,
            features,
            vocabulary_size=len(tokenizer),
            num_event_types=len(dataset.interactions.event_types),
            num_ratings=len(_ratings(manifest)),
            answers=recipe.answers,
            generates_text=recipe.generates_text,
            codes=index.codes if index is not None else None,
            entities=entities_of(recipe, dataset, tokenizer),
            backbone=backbone,
        )
        _tune(model, recipe)
    _load_weights(folder, model)
    model.train(mode=False)
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
    return LanguageModelSystem(
        recipe=recipe,
        model=model,
        features=features,
        encoders=ItemEncoders.load(folder / "encoders"),
        tokenizer=tokenizer,
        prompts={
            family: Wordings(tuple(w["seen"]), tuple(w["unseen"])) for family, w in prompts.items()
        },
        tasks=_tasks(manifest),
        prior=_load_prior(folder),
        item_format=item_format_of(recipe.resolved_stages[-1], dataset, tokenizer, index),
        blend=_load_blend(folder),
        index=index,
        ratings=_ratings(manifest),
        event_types=tuple(dataset.interactions.event_types),
        calibration=_load_calibration(folder),
        rating_prior=_load_biases(folder, "rating"),
        like_prior=_load_biases(folder, "liking"),
    )


def _save_biases(folder: Path, name: str, prior: RatingPrior) -> None:
    """Save the item biases with their counts and calibration."""
    biases = torch.from_numpy(prior.biases.items)
    save_file({"items": biases.contiguous()}, folder / f"{name}_prior.safetensors")
    numbers = {"mean": prior.biases.mean, "penalty": prior.biases.penalty}
    values = {"biases": numbers, "calibration": asdict(prior.calibration)}
    (folder / f"{name}_prior.json").write_text(json.dumps(values) + "\n", encoding="utf-8")


def _load_biases(folder: Path, name: str) -> RatingPrior | None:
    path = folder / f"{name}_prior.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    items = load_file(folder / f"{name}_prior.safetensors")["items"].numpy()
    return RatingPrior(
        ItemBiases(items=items, **values["biases"]), LevelCalibration(**values["calibration"])
    )


def _load_calibration(folder: Path) -> Calibration:
    path = folder / "calibration.json"
    return (
        Calibration(**json.loads(path.read_text(encoding="utf-8")))
        if path.is_file()
        else Calibration()
    )


def _borrowed(trained: TrainedModel) -> str | None:
    """Return the name of the backbone that must exist outside the folder, if any."""
    model, backbone = trained.language_model, _findable(trained.recipe).model.backbone
    if model is None or backbone is None or not model.model.borrowed:
        return None
    return backbone.path


def _findable(recipe: Recipe) -> Recipe:
    """Return the recipe with an absolute path to its backbone."""
    backbone = recipe.model.backbone
    if backbone is None or not Path(backbone.path).is_dir():
        return recipe
    found = backbone.model_copy(update={"path": str(Path(backbone.path).resolve())})
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"backbone": found})})


def _own_backbone(folder: Path, recipe: Recipe, manifest: Manifest) -> PretrainedBackbone | None:
    """Build a backbone whose weights are in the folder; check an external one."""
    config = recipe.model.backbone
    if config is None:
        return None
    if (folder / _ARCHITECTURE).is_dir():
        return empty_backbone(config, folder / _ARCHITECTURE)
    _check_borrowed(config, manifest)
    return None


def _check_borrowed(config: BackboneConfig, manifest: Manifest) -> None:
    hint = f"Put the checkpoint it was trained with back at {config.path!r}, or train it again."
    try:
        found = content_of(config.path)
    except ConfigError as error:
        raise ArtifactError(
            f"The model {manifest.name!r} needs its backbone: {error.message}", hint=hint
        ) from error
    wanted = manifest.inputs.get("backbone")
    if found != wanted:
        raise ArtifactError(
            f"The model {manifest.name!r} was trained on the backbone {config.path!r} with the "
            f"content {wanted}; what is there now has {found}.",
            hint=hint,
        )


def _tune(model: RecommendationModel, recipe: Recipe) -> None:
    """Add the tuning modules (LoRA, adapters) of the stages."""
    for stage in recipe.resolved_stages:
        if stage.training.tuning is not None:
            tune_backbone(model, stage.training.tuning)


def _save_weights(folder: Path, model: RecommendationModel) -> None:
    """Write the model's own weights; of tied weights only the first."""
    known: dict[tuple[int, torch.Size], str] = {}
    weights, same = {}, {}
    for name, weight in trainable_state(model).items():
        first = known.setdefault((weight.data_ptr(), weight.shape), name)
        if first == name:
            weights[name] = weight.detach().cpu().contiguous()
        else:
            same[name] = first
    save_file(weights, folder / _WEIGHTS, metadata=same or None)
    if not model.borrowed:
        model.decoder.save_architecture(folder / _ARCHITECTURE)


def _load_weights(folder: Path, model: RecommendationModel) -> None:
    with safe_open(folder / _WEIGHTS, "pt") as file:
        same = file.metadata() or {}
    weights = load_file(folder / _WEIGHTS)
    load_trainable_state(model, weights | {name: weights[first] for name, first in same.items()})


def _load_blend(folder: Path) -> Blend:
    path = folder / "blend.json"
    return Blend(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else Blend(0.0)


def _load_prior(folder: Path) -> Prior | None:
    if not (folder / "prior.json").is_file():
        return None
    weight = float(json.loads((folder / "prior.json").read_text(encoding="utf-8"))["weight"])
    return Prior(load_baseline(folder / "prior"), weight)


def load_versioned(folder: Path, device: Device | None = None) -> tuple[TrainedModel, str]:
    """Return the model of a folder, on ``device``, and the hash of its content.

    Raises:
        ArtifactError: when the folder is not a model, or is damaged in any way.
    """
    try:
        version = read_manifest(folder, "model").content_hash
        trained = load_model(folder, device)
        _check_sizes(trained)
    except (SafetensorError, RuntimeError, OSError, KeyError, ValueError) as error:
        raise ArtifactError(
            f"The model in {str(folder)!r} cannot be read: {error}.",
            hint="Train it again with: palate train DATASET MODEL",
        ) from error
    return trained, version


def _check_sizes(trained: TrainedModel) -> None:
    """Refuse a folder whose files belong to different catalogues.

    Raises:
        ArtifactError: when they are not.
    """
    items, found = len(trained.dataset.catalog), trained.system.num_items
    if found != items:
        raise ArtifactError(
            f"The model {trained.name!r} knows {found:,} items and its dataset has {items:,}.",
            hint="Train it again with: palate train DATASET MODEL",
        )
