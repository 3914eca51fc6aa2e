"""Trains baselines that learn by gradient, with the same loop as every other model."""

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
    """Hash of everything that determines the run."""
    on: Device
    validate: Callable[[Score], float] | None
    """Returns the value to maximise on the validation split; None trains all epochs and keeps the
    last weights."""
    measure: str = ""
    """Name of the metric that ``validate`` returns."""
    epochs: int | None = None
    """Number of epochs found by an earlier run; None lets settings and validation decide."""
    folder: Path | None = None
    """Folder for checkpoints; None writes none."""
    report: Callable[[Report], None] | None = None
    curve: list[Mapping[str, object]] = field(default_factory=list)
    """The learning curve, once trained."""

    @property
    def device(self) -> torch.device:
        """Device to train on."""
        return self.on.where

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept; None without validation."""
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
        """Train ``module`` in place; it ends with the weights of its best validation."""
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
            where=self.on.training,
        )
        self.curve = list(fit(module, run))


@dataclass(frozen=True)
class _Batches:
    """Batches of tensors with the interface that the loop expects."""

    of_epoch: Callable[[int], Sequence[Tensor]]

    @property
    def num_interactions(self) -> int:
        """Number of rows of all batches of an epoch."""
        return sum(len(batch) for batch in self.of_epoch(0))

    def plan(self, epoch: int) -> Sequence[object]:
        """Return the batches of an epoch."""
        return self.of_epoch(epoch)

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[Tensor | None]:
        """Return the batches of an epoch after the first ``skip``."""
        yield from self.of_epoch(epoch)[skip:]
