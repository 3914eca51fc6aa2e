"""The weights to save with a model: all except those of an unchanged pre-trained backbone.

The tuning of the backbone decides which weights can change. If the backbone still has the weights
of its checkpoint (``borrowed``), only the weights that the tuning added are saved.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from palate.errors import ArtifactError
from palate.models.backbones.tuning import TuningConfig, merge, tune
from palate.models.language_model import BACKBONE, RecommendationModel


def tune_backbone(model: RecommendationModel, config: TuningConfig) -> None:
    """Change the tuning of the backbone to ``config``.

    Raises:
        ConfigError: when the backbone was tuned before, or the new tuning does not fit.
        MissingExtraError: when LoRA is requested and ``peft`` is not installed.
    """
    if config == model.tuning:
        return
    words = model.embed_words(torch.arange(model.num_words, device=model.queries.device))
    tune(model.decoder, config, words=words.detach())
    model.tuning = config
    model.trainable = model.free_weights()


def merged(model: RecommendationModel) -> RecommendationModel:
    """Return a copy whose LoRA updates are merged into the weights of the backbone.

    Raises:
        ConfigError: when the backbone has no LoRA update.
    """
    other = copy.deepcopy(model)
    merge(other.decoder)
    other.tuning, other.borrowed = TuningConfig(), False
    other.trainable = other.free_weights()
    return other


def trainable_state(model: RecommendationModel) -> dict[str, Tensor]:
    """Return the weights by name, without those borrowed from a checkpoint."""
    added = model.trainable if model.tuning.kind != "full" else frozenset[str]()
    return {
        name: weight
        for name, weight in model.state_dict().items()
        if not model.borrowed or name in added or not name.startswith(BACKBONE)
    }


def load_trainable_state(model: RecommendationModel, state: Mapping[str, Tensor]) -> None:
    """Load what :func:`trainable_state` of a model of the same architecture returned.

    Raises:
        ArtifactError: when names or shapes differ.
    """
    own = trainable_state(model)
    odd = sorted(
        name
        for name in own.keys() | state.keys()
        if name not in own or name not in state or own[name].shape != state[name].shape
    )
    if odd:
        raise ArtifactError(
            f"The weights do not fit the model: {len(odd)} differ, the first is {odd[0]!r}.",
            hint="Open them with the recipe and the backbone that they were trained with.",
        )
    model.load_state_dict(dict(state), strict=False)
