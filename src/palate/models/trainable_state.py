"""The weights that are a model's own: all but those borrowed from the checkpoint of its backbone.

Which weights are free to change is decided by the tuning of the backbone; of a borrowed one, what
the tuning added is the model's own and nothing else.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from palate.errors import ArtifactError
from palate.models.backbones.tuning import TuningConfig, merge, tune
from palate.models.language_model import BACKBONE, RecommendationModel


def tune_backbone(model: RecommendationModel, config: TuningConfig) -> None:
    """Train of the backbone from here on what ``config`` says.

    Raises:
        ConfigError: when it carries adapters of another kind, or the new ones do not fit.
        MissingExtraError: when LoRA is asked for and ``peft`` is not installed.
    """
    if config == model.tuning:
        return
    words = model.embed_words(torch.arange(model.num_words, device=model.queries.device))
    tune(model.decoder, config, words=words.detach())
    model.tuning = config
    model.trainable = model.free_weights()


def merged(model: RecommendationModel) -> RecommendationModel:
    """Return a copy whose LoRA updates are folded into the weights: plain, and its own.

    Raises:
        ConfigError: when its backbone carries no LoRA update.
    """
    other = copy.deepcopy(model)
    merge(other.decoder)
    other.tuning, other.borrowed = TuningConfig(), False
    other.trainable = other.free_weights()
    return other


def trainable_state(model: RecommendationModel) -> dict[str, Tensor]:
    """Return the weights by name; those borrowed from a checkpoint are not among them."""
    added = model.trainable if model.tuning.kind != "full" else frozenset[str]()
    return {
        name: weight
        for name, weight in model.state_dict().items()
        if not model.borrowed or name in added or not name.startswith(BACKBONE)
    }


def load_trainable_state(model: RecommendationModel, state: Mapping[str, Tensor]) -> None:
    """Put in what :func:`trainable_state` of a model of the same shape returned.

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
