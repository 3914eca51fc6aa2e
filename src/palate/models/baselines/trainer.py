"""What fitting a baseline needs: a seed, and a trainer if it learns by gradient.

Baselines may not import the training package, so the trainer is passed as an argument. Validation,
early stopping, progress, checkpoints and the device are then the same as for every other model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from palate.types import History

Module = TypeVar("Module", bound=nn.Module)

Score = Callable[[Sequence[History]], Float[np.ndarray, "users items"]]
"""Returns one score per user and catalogue row, with the current weights."""


@dataclass(frozen=True)
class GradientSettings:
    """How long and how fast a baseline learns by gradient."""

    epochs: int = 20
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    validate_every: int = 1
    """Epochs between validations."""
    patience: int = 5
    """Validations without improvement after which training stops."""


@runtime_checkable
class Trainer(Protocol):
    """Trains a module by gradient."""

    @property
    def device(self) -> torch.device:
        """Device to train on; the caller moves the module there."""
        ...

    def train(
        self,
        module: Module,
        *,
        batches: Callable[[int], Sequence[Tensor]],
        loss: Callable[[Module, Tensor], Tensor],
        score: Score,
        settings: GradientSettings,
    ) -> None:
        """Train ``module`` in place; it ends with the weights of its best validation.

        Args:
            module: the module to train, on :attr:`device`.
            batches: returns the batches of an epoch. They must depend only on the seed and the
                epoch, so that an interrupted run resumes exactly.
            loss: returns the loss of a batch, which is on :attr:`device`.
            score: scores histories for the validation.
            settings: epochs, learning rate and early stopping.
        """
        ...


@dataclass(frozen=True)
class Fitting:
    """What a baseline may use besides its settings and the training sequences."""

    seed: int = 0
    trainer: Trainer | None = None
    """None if only baselines without gradients are fitted."""

    @property
    def gradient_trainer(self) -> Trainer:
        """The trainer, for a baseline that needs one."""
        assert self.trainer is not None, "this baseline learns by gradient and was given no trainer"
        return self.trainer


FIRST_SEED = Fitting()
"""Seed 0 and no trainer."""
