"""One training step: from a batch to a gradient, from gradients to new weights.

The loop calls a :class:`Step` and knows nothing else of gradients. Distribution and privacy are
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
"""Returns the loss of a batch: what is minimised."""


@runtime_checkable
class Step(Protocol):
    """How weights move; it is given the module and the optimiser, and keeps nothing."""

    def add_gradient(self, module: nn.Module, loss: Callable[[], Tensor], *, share: float) -> float:
        """Add ``share`` times the gradient of a loss to those that wait; return the loss.

        Args:
            module: what learns, in training mode.
            loss: computes the loss of one batch.
            share: one over the number of batches whose gradients are averaged.
        """
        ...

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Change the weights by the gradients that wait, and forget these."""
        ...


@dataclass(frozen=True)
class PlainStep:
    """Backpropagation, clipping of the whole gradient's norm, one step of the optimiser."""

    clip: float
    """Largest norm of the gradient."""
    bfloat16: bool = False
    """Whether matrix products of the loss run in bfloat16."""

    def add_gradient(self, module: nn.Module, loss: Callable[[], Tensor], *, share: float) -> float:
        """Compute the loss and its gradient, as :class:`Step` says."""
        device = next(module.parameters()).device
        with autocast(device, enabled=self.bfloat16):
            value = loss()
        (value * share).backward()
        return float(value.detach())

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient, step and forget the gradient."""
        torch.nn.utils.clip_grad_norm_(module.parameters(), self.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
