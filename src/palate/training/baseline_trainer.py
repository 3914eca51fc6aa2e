"""Baselines that learn by gradient, through the loop that every other model learns by."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from palate.models.baselines import GradientSettings
from palate.models.baselines.trainer import Module, Score
from palate.models.device import Device
from palate.training.config import TrainingConfig
from palate.training.loop import Report, Run, best_epoch, fit
from palate.training.step import PlainStep

_CLIP = 1.0


@dataclass
class GradientTrainer:
    """A :class:`palate.models.baselines.Trainer` for one baseline and one data set."""

    name: str
    """Hash of everything that decides the run."""
    on: Device
    validate: Callable[[Score], float] | None
    """What is to be maximised on the validation split; None does all epochs and keeps the last."""
    measure: str = ""
    """What ``validate`` measures, where that has a name."""
    epochs: int | None = None
    """Epochs that were found before; None lets the settings and the validation decide."""
    folder: Path | None = None
    """Where checkpoints go; None keeps none."""
    report: Callable[[Report], None] | None = None
    curve: list[Mapping[str, object]] = field(default_factory=list)
    """The learning curve, once trained."""

    @property
    def device(self) -> torch.device:
        """Where the module is to learn."""
        return self.on.where

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept, where that was found by validation."""
        return best_epoch(self.curve) if self.curve and self.validate is not None else None

    def train(
        self,
        module: Module,
        *,
        batches: Callable[[int], Sequence[Tensor]],
        loss: Callable[[Module, Tensor], Tensor],
        score: Score,
        settings: GradientSettings,
    ) -> None:
        """Train ``module`` in place; it is left with the weights of its best validation."""
        judge = self.validate

        def validated(trained: nn.Module) -> float:
            assert judge is not None
            trained.train(mode=False)
            with torch.inference_mode():
                return judge(score)

        config = TrainingConfig(
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            validate_every=settings.validate_every,
            patience=settings.patience,
        )
        run = Run(
            batches=_Batches(batches),
            config=config,
            validate=None if judge is None else validated,
            name=self.name,
            folder=self.folder,
            report=self.report,
            measure=self.measure,
            epochs=self.epochs,
            objective=loss,
            step=PlainStep(_CLIP, self.on.trains_in_bfloat16),
        )
        self.curve = list(fit(module, run))


@dataclass(frozen=True)
class _Batches:
    """Batches of tensors as the loop takes them."""

    of_epoch: Callable[[int], Sequence[Tensor]]

    @property
    def num_interactions(self) -> int:
        """Rows of all batches of an epoch."""
        return sum(len(batch) for batch in self.of_epoch(0))

    def plan(self, epoch: int) -> Sequence[object]:
        """Return the batches of an epoch."""
        return self.of_epoch(epoch)

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[Tensor | None]:
        """Return the batches of an epoch after the first ``skip``."""
        yield from self.of_epoch(epoch)[skip:]
