"""A trained model on disk: one self-contained folder of safetensors, Parquet and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from palate.artifacts import Manifest, read_manifest, verify, writing
from palate.data.dataset import Dataset
from palate.errors import ArtifactError
from palate.items.codes.index import About, ItemIndex
from palate.items.encoders import ItemEncoders
from palate.items.features import ItemFeatures
from palate.language.prompts import Wordings
from palate.language.tokenizer import Tokenizer
from palate.models.baselines import Baseline, load_baseline
from palate.models.language_model import RecommendationModel
from palate.training.parts import Blend, Parts, Prior, spelling_of
from palate.training.recipe import LANGUAGE_MODEL_PARTS, Recipe


@dataclass(frozen=True)
class Trained:
    """What training leaves behind."""

    name: str
    recipe: Recipe
    dataset: Dataset
    system: Parts | Baseline
    log: Sequence[Mapping[str, object]]
    """The learning curve, one entry per validation."""
    seed: int


def save_model(folder: Path, trained: Trained, *, made_by: str = "python") -> None:
    """Write the model folder, whole or not at all."""
    manifest = Manifest(
        kind="model",
        name=trained.name,
        made_by=made_by,
        seed=trained.seed,
        settings={
            "tasks": list(trained.system.tasks) if isinstance(trained.system, Parts) else [],
            "ratings": list(trained.system.ratings) if isinstance(trained.system, Parts) else [],
        },
    )
    with writing(folder, manifest) as temporary:
        # A baseline's recipe has none of these, and says so when it is read.
        absent = set(LANGUAGE_MODEL_PARTS) if trained.recipe.baseline else None
        recipe = trained.recipe.model_dump_json(indent=2, exclude=absent)
        (temporary / "recipe.json").write_text(recipe + "\n")
        lines = [json.dumps(dict(entry)) + "\n" for entry in trained.log]
        (temporary / "training.jsonl").write_text("".join(lines))
        trained.dataset.save(temporary / "dataset", made_by=f"copy in model {trained.name}")
        if isinstance(trained.system, Parts):
            _save_parts(temporary, trained.system)
        else:
            trained.system.save(temporary / "baseline")


def load_model(folder: Path) -> Trained:
    """Read a model folder.

    Raises:
        ArtifactError: when the folder is not a model, or is damaged.
    """
    manifest = read_manifest(folder, "model")
    verify(folder, manifest)
    try:
        recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())
    except ValueError as error:
        raise ArtifactError(
            f"The recipe in {str(folder)!r} cannot be used: {error}.", hint="Train the model again."
        ) from error
    dataset = Dataset.load(folder / "dataset")
    lines = (folder / "training.jsonl").read_text().splitlines()
    return Trained(
        name=manifest.name,
        recipe=recipe,
        dataset=dataset,
        system=load_baseline(folder / "baseline")
        if recipe.baseline is not None
        else _load_parts(folder, recipe, dataset, manifest),
        log=[json.loads(line) for line in lines],
        seed=manifest.seed or 0,
    )


def _tasks(manifest: Manifest) -> tuple[str, ...]:
    names = manifest.settings.get("tasks")
    if not isinstance(names, list):
        raise ArtifactError(
            f"The model {manifest.name!r} does not say which tasks it was trained on.",
            hint="Train the model again.",
        )
    return tuple(str(name) for name in names)


def _save_parts(folder: Path, parts: Parts) -> None:
    weights = {name: w.detach().cpu().contiguous() for name, w in parts.model.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    parts.features.save(folder / "features.safetensors")
    parts.tokenizer.save(folder / "tokenizer.json")
    parts.encoders.save(folder / "encoders")
    if parts.prior is not None:
        parts.prior.baseline.save(folder / "prior")
        (folder / "prior.json").write_text(json.dumps({"weight": parts.prior.weight}) + "\n")
    if parts.index is not None:
        (folder / "blend.json").write_text(json.dumps({"weight": parts.blend.weight}) + "\n")
        parts.index.save(folder / "codes", About("codes of the model's items"))
    prompts = {family: asdict(wordings) for family, wordings in parts.prompts.items()}
    (folder / "prompts.json").write_text(json.dumps(prompts, indent=2) + "\n")


def _ratings(manifest: Manifest) -> tuple[float, ...]:
    levels = manifest.settings.get("ratings", [])
    return tuple(float(level) for level in levels) if isinstance(levels, list) else ()


def _load_parts(folder: Path, recipe: Recipe, dataset: Dataset, manifest: Manifest) -> Parts:
    features = ItemFeatures.load(folder / "features.safetensors")
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    index = ItemIndex.load(folder / "codes") if recipe.codes is not None else None
    with torch.random.fork_rng():
        model = RecommendationModel(
            recipe.model,
            features,
            vocabulary_size=len(tokenizer),
            num_event_types=len(dataset.interactions.event_types),
            num_ratings=len(_ratings(manifest)),
            says_words=recipe.says_words,
            codes=index.codes if index is not None else None,
        )
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    model.train(mode=False)
    prompts = json.loads((folder / "prompts.json").read_text())
    return Parts(
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
        spelling=spelling_of(recipe, dataset, tokenizer, index),
        blend=_load_blend(folder),
        index=index,
        ratings=_ratings(manifest),
    )


def _load_blend(folder: Path) -> Blend:
    path = folder / "blend.json"
    return Blend(float(json.loads(path.read_text())["weight"]) if path.is_file() else 0.0)


def _load_prior(folder: Path) -> Prior | None:
    if not (folder / "prior.json").is_file():
        return None
    weight = float(json.loads((folder / "prior.json").read_text())["weight"])
    return Prior(load_baseline(folder / "prior"), weight)
