"""What a baseline is given to be fitted with: a seed, and a trainer where it learns by gradient.

Baselines stand below training, so the trainer comes from above as an argument: validation, early
stopping, progress, checkpoints and the device are then the same as for every other model.
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
"""Returns one score per user and catalogue row, with the weights as they are now."""


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
        """Where the module is to learn: bring it there first."""
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
        """Train ``module`` in place; it is left with the weights of its best validation.

        Args:
            module: what learns, on :attr:`device`.
            batches: returns the batches of an epoch, made from the seed and the epoch alone, so
                that a run that was killed goes on as if nothing had been.
            loss: returns the loss of a batch, which is on :attr:`device`.
            score: what is judged on the validation split.
            settings: how long and how fast.
        """
        ...


@dataclass(frozen=True)
class Fitting:
    """What a baseline may use beside its settings and the training sequences."""

    seed: int = 0
    trainer: Trainer | None = None
    """None where only baselines without gradient are fitted."""

    @property
    def gradient_trainer(self) -> Trainer:
        """The trainer, for a baseline that cannot do without."""
        assert self.trainer is not None, "this baseline learns by gradient and was given no trainer"
        return self.trainer


FIRST_SEED = Fitting()
"""Seed 0 and no trainer."""
