"""Gradient checkpointing: activations inside a layer are recomputed in the backward pass.

It trades time for memory (Chen et al. 2016). The switch of ``transformers`` for it drops the
key-value cache; here the cache stays, since :class:`palate.models.backbones.past.LayerPast` may be
updated twice.

This file imports ``transformers``; it is imported only where such a model is used.
"""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")


def recompute_layers(model: nn.Module) -> None:
    """Let each layer of ``model`` keep only its inputs in training."""
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            vars(layer)["forward"] = partial(_recomputed, layer.forward)


def _recomputed(
    forward: Callable[Inputs, Output], *inputs: Inputs.args, **named: Inputs.kwargs
) -> Output:
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)
    output: Output = checkpoint(partial(forward, *inputs, **named), use_reentrant=False)
    return output
