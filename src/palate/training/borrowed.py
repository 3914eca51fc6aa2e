"""Settings of a recipe for a pre-trained model that is put into it.

Recipes are written for the compact model, which reads a hundred times as many tokens a second. When
``--set model.backbone.path=FOLDER`` puts a pre-trained one in its place on a machine without a GPU,
this rule lays settings over the recipe's that such a model can live with; what is said by ``--set``
stays:

- ``training.tokens_per_batch`` is at most 1,024, and ``training.accumulate`` grows as it shrinks: a
  step still averages as many tokens, in a fraction of the memory;
- ``training.epochs`` is at most 3, each validated: the language need not be learned any more;
- ``training.validate_on`` is at most 256 users or events, for calibration as well;
- ``model.backbone.gradient_checkpointing`` is on where the activations of a batch would take more
  than half of the memory.

A recipe whose own file names a backbone was written for it, and is left as it is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from palate.config import Override
from palate.models.backbones.estimate import Reading
from palate.models.device import memory_bytes
from palate.training.config import TrainingConfig

MOST_TOKENS, MOST_EPOCHS, MOST_VALIDATED = 1_024, 3, 256

_PATH = ("model", "backbone", "path")
_SIZES = (
    ("num_hidden_layers", "num_layers", "n_layer"),
    ("hidden_size", "d_model", "n_embd"),
    ("intermediate_size", "d_ff", "n_inner"),
    ("vocab_size",),
)
"""What ``config.json`` calls the layers, the width, the inner width and the words."""


def fitted_to_backbone(
    tables: Mapping[str, object], given: Sequence[Override]
) -> dict[str, object]:
    """Return the tables of a recipe into which overrides put a pre-trained model."""
    fitted = dict(tables)
    if not any(each.path[:2] == _PATH[:2] for each in given) or torch.cuda.is_available():
        return fitted
    below = _table(tables.get("training"))
    fitted["training"] = _training(below, {}, "", given)
    stages = tables.get("stages")
    if isinstance(stages, list):
        fitted["stages"] = [
            stage | {"training": _training(_table(stage["training"]), below, name, given)}
            if "training" in stage
            else stage
            for stage, name in zip(stages, _names(stages), strict=True)
        ]
    most = _table(fitted["training"]).get("tokens_per_batch", MOST_TOKENS)
    return _recomputing(fitted, given, int(most))


def _training(
    own: Mapping[str, Any], below: Mapping[str, Any], stage: str, given: Sequence[Override]
) -> dict[str, object]:
    """Return a table of training; of a stage's own table only what it says itself is changed."""
    fitted = dict(own)
    for key, most in (
        ("tokens_per_batch", MOST_TOKENS),
        ("epochs", MOST_EPOCHS),
        ("validate_every", 1),
        ("validate_on", MOST_VALIDATED),
    ):
        if (below and key not in own) or _is_given(key, stage, given):
            continue
        value = int(own.get(key, TrainingConfig.model_fields[key].default))
        fitted[key] = min(value or most, most)
        if key == "tokens_per_batch" and not _is_given("accumulate", stage, given):
            before = own.get("accumulate", below.get("accumulate", 1))
            fitted["accumulate"] = int(before) * -(-value // fitted[key])
    return fitted


def _is_given(key: str, stage: str, given: Sequence[Override]) -> bool:
    """Return whether an override says this setting of training, or the whole table."""
    paths = {("training",), ("training", key)}
    if stage:
        paths |= {("stages", stage, "training"), ("stages", stage, "training", key)}
    return any(tuple(each.path) in paths for each in given)


def _recomputing(
    tables: dict[str, object], given: Sequence[Override], tokens: int
) -> dict[str, object]:
    """Turn gradient checkpointing on where activations would fill the memory."""
    model = _table(tables.get("model"))
    backbone = _table(model.get("backbone"))
    key = (*_PATH[:2], "gradient_checkpointing")
    if any(tuple(each.path) == key for each in given) or "gradient_checkpointing" in backbone:
        return tables
    needed = _activation_bytes(Path(str(backbone.get("path", ""))), tokens)
    if needed <= memory_bytes() / 2:
        return tables
    changed = {**backbone, "gradient_checkpointing": True}
    return {**tables, "model": {**model, "backbone": changed}}


def _activation_bytes(folder: Path, tokens: int) -> int:
    """Return the bytes that a step keeps for the backward pass; 0 where the sizes are unknown."""
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    if not isinstance(settings, dict):
        return 0
    found = [next((settings[n] for n in names if settings.get(n)), 0) for names in _SIZES]
    layers, width, inner, words = (size if isinstance(size, int) else 0 for size in found)
    read = Reading(rows=1, time=tokens, layers=layers, width=width, mlp_width=inner, words=words)
    return read.activation_bytes


def _names(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(stage.get("name") or number) for number, stage in enumerate(stages)]


def _table(given: object) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {}
