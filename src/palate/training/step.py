"""One training step: from a batch to a gradient, from gradients to new weights.

The loop leaves all gradient computation to a :class:`Step`. Distributed and private training can be
other steps: one averages gradients over processes, the other clips them per user and adds noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from palate.models.device import autocast

Module = TypeVar("Module", bound=nn.Module)
Made = TypeVar("Made")

Objective = Callable[[Module, Made], Tensor]
"""Returns the loss of a batch, which is minimised."""


@runtime_checkable
class Step(Protocol):
    """How gradients are computed and change the weights; a step has no state."""

    def add_gradient(self, module: nn.Module, loss: Callable[[], Tensor], *, share: float) -> float:
        """Add ``share`` times the gradient of a loss to the accumulated gradient.

        Returns the loss.

        Args:
            module: the module to train, in training mode.
            loss: computes the loss of one batch.
            share: one over the number of batches whose gradients are averaged.
        """
        ...

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Update the weights from the accumulated gradient, and reset it."""
        ...


@dataclass(frozen=True)
class PlainStep:
    """Backpropagation, clipping of the gradient's norm, one step of the optimiser."""

    clip: float
    """Largest norm of the gradient."""
    bfloat16: bool = False
    """Whether matrix products of the loss run in bfloat16."""

    def add_gradient(self, module: nn.Module, loss: Callable[[], Tensor], *, share: float) -> float:
        """Compute the loss and add its gradient (see :class:`Step`)."""
        device = next(module.parameters()).device
        with autocast(device, enabled=self.bfloat16):
            value = loss()
        (value * share).backward()
        return float(value.detach())

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient, update the weights and reset the gradient."""
        torch.nn.utils.clip_grad_norm_(module.parameters(), self.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
