"""The one training loop of every model that learns by gradient.

It takes batches, an objective (the loss of a batch), a step (how gradients change the weights) and
a ``validate`` function. It does not depend on datasets or recommendations, and its only file is the
checkpoint::

    for epoch:
        for batch:  gradient += objective(batch);  every `accumulate` batches: update the weights
        validate, keep the best weights, stop early, write a checkpoint
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from palate.errors import ConfigError
from palate.models.backbones.estimate import Estimate, peak_bytes
from palate.models.device import has_fast_bfloat16
from palate.models.language_model import RecommendationModel
from palate.models.trainable_state import load_trainable_state, trainable_state, tune_backbone
from palate.training.batch_loss import batch_loss
from palate.training.checkpoint import (
    Progress,
    State,
    Weights,
    load_checkpoint,
    save_checkpoint,
)
from palate.training.config import TrainingConfig
from palate.training.step import PlainStep, Step

_logger = logging.getLogger(__name__)

_TRIED_STEPS = 3

_READING = 1 / 3
"""Time that reading a token takes, as a share of learning from it: without the backward pass."""

Module = TypeVar("Module", bound=nn.Module)

Validate = Callable[[Module], float]
"""Returns the value to maximise, on the validation split."""

Objective = Callable[[Module, Any], Tensor]
"""Returns the loss of a batch, which is minimised."""


@runtime_checkable
class Movable(Protocol):
    """A batch whose tensors can be moved to a device."""

    def to(self, device: torch.device, /) -> "Movable":
        """Return a copy on ``device``."""
        ...


@runtime_checkable
class Batches(Protocol):
    """Training data in batches that depend only on the epoch and their number."""

    @property
    def num_interactions(self) -> int:
        """Number of events of an epoch, for the throughput."""
        ...

    def plan(self, epoch: int) -> Sequence[object]:
        """Return one entry per batch of an epoch."""
        ...

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[Movable | None]:
        """Build the batches of an epoch after the first ``skip``; None is an empty batch."""
        ...


@dataclass(frozen=True)
class Report:
    """Progress of a run, which the command line shows."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    interactions_per_second: float
    seconds_left: float
    validation: float | None = None
    refit: bool = False
    """Whether this is a refit on more data with the number of epochs found before."""
    measure: str = ""
    """Name of the validation metric."""
    estimate: Estimate | None = None
    """Estimated time and memory of the run; set in one report, after a few trial steps."""
    note: str = ""
    """What a person should know of the run, in one sentence; set in one report."""


@dataclass(frozen=True)
class Run:
    """One training run: everything that does not change during it."""

    batches: Batches
    config: TrainingConfig
    validate: Validate[Any] | None
    """None never validates: the run does all epochs and keeps the last weights."""
    name: str
    """Hash of everything that determines the run."""
    folder: Path | None = None
    """Folder for checkpoints; None writes none."""
    report: Callable[[Report], None] | None = None
    measure: str = ""
    """Name of the metric that ``validate`` returns."""
    epochs: int | None = None
    """Stop after this many epochs, with the learning rate schedule of ``config.epochs``; None does
    all."""
    objective: Objective[Any] | None = None
    """The loss of a batch; None means :func:`batch_loss`, the loss of a language model."""
    step: Step | None = None
    """How gradients change the weights; None means :class:`PlainStep`, in bfloat16 where that is
    faster."""
    where: str = ""
    """Device and precision in words. They are not part of ``name``: a run may resume on another
    device, and says so."""

    validated_tokens: int = 0
    """Tokens that a validation reads, for the estimate."""
    later_tokens: int = 0
    """Tokens that are read after the run, by calibrations, for the estimate."""

    @property
    def read_tokens(self) -> int:
        """Tokens that are read beside training in the whole run."""
        if self.validate is None:
            return self.later_tokens
        times = -(-self.most_epochs // self.config.validate_every)
        return self.validated_tokens * times + self.later_tokens

    @property
    def most_epochs(self) -> int:
        """Maximum number of epochs."""
        return self.config.epochs if self.epochs is None else self.epochs


def train(model: RecommendationModel, run: Run) -> Sequence[Mapping[str, object]]:
    """Train a language model in place and return the learning curve.

    The configuration decides which weights may change; the rest is :func:`fit`.

    Raises:
        ConfigError: when no weight may change.
    """
    config = run.config
    if config.tuning is not None:
        tune_backbone(model, config.tuning)
    _freeze(model, config)
    if run.objective is None:
        run = replace(run, objective=partial(batch_loss, config=config))
    with _compiled(model.decoder) if _compiles(model, config) else nullcontext():
        return fit(
            model,
            run,
            Weights(lambda: trainable_state(model), partial(load_trainable_state, model)),
        )


def fit(
    module: nn.Module, run: Run, weights: Weights | None = None
) -> Sequence[Mapping[str, object]]:
    """Train ``module`` in place by ``run.objective`` and return the learning curve.

    The module ends with the weights of its best validation, or of the last epoch without
    validation. If ``run.folder`` has a checkpoint of the same run, training resumes there; on a
    CPU the result is bit for bit that of an uninterrupted run.

    Args:
        module: the module to train, on its device.
        run: settings of the run.
        weights: how to read and write the weights that change; None means all weights.
    """
    assert run.objective is not None, "only a language model has an objective by itself"
    if run.step is None:
        device = next(module.parameters()).device
        run = replace(run, step=PlainStep(run.config.clip, has_fast_bfloat16(device)))
    if weights is None:
        weights = Weights(module.state_dict, module.load_state_dict)
    optimizer = _optimizer(module, run.config)
    state = State(module, weights, optimizer, {}, {}, Progress(run=run.name))
    trial = _Trial()
    if run.folder is not None and load_checkpoint(run.folder, state):
        _logger.info(
            "continuing from epoch %d, step %d", state.progress.epoch + 1, state.progress.step
        )
    steps_per_epoch = len(run.batches.plan(0))
    clock = _Clock(state.progress.seconds)
    before = state.progress.where or run.where
    state.progress = replace(state.progress, where=run.where)
    if before != run.where and state.progress.epoch < run.most_epochs and run.report is not None:
        note = f"Continuing on {run.where} what was begun on {before}."
        run.report(replace(_report(state, run, clock, steps_per_epoch), note=note))
    while state.progress.epoch < run.most_epochs and state.progress.stale < run.config.patience:
        _epoch(state, run, clock, trial)
        _close_epoch(state, run, clock, steps_per_epoch)
    if state.best:
        weights.write(state.best)
    module.train(mode=False)
    return state.progress.log


def best_epoch(log: Sequence[Mapping[str, object]]) -> int:
    """Return the epoch of the learning curve whose weights were kept: the first of the best."""
    best = max(log, key=lambda entry: float(str(entry["validation"])))
    return int(str(best["epoch"]))


def _compiles(model: RecommendationModel, config: TrainingConfig) -> bool:
    if config.compile and model.queries.device.type != "cuda":
        _logger.warning("training.compile is left out: it pays on a GPU alone")
        return False
    return config.compile


@contextmanager
def _compiled(backbone: nn.Module) -> Iterator[None]:
    """Run ``backbone`` compiled; its weights keep their names."""
    vars(backbone)["forward"] = torch.compile(backbone.forward, dynamic=True)
    try:
        yield
    finally:
        del vars(backbone)["forward"]


class _Trial:
    """Times the first steps of a run to estimate the rest; the very first step is warm-up."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def tried(self, seconds: float, steps_left: float, device: torch.device) -> Estimate | None:
        """Record the seconds of a step; return an estimate once, after a few steps.

        ``steps_left`` counts what is read for validation and calibration as steps too.
        """
        if len(self._seconds) > _TRIED_STEPS:
            return None
        self._seconds.append(seconds)
        if len(self._seconds) <= _TRIED_STEPS:
            return None
        seconds = sum(self._seconds[1:]) / _TRIED_STEPS * steps_left
        estimate = Estimate(seconds, peak_bytes(device))
        _logger.info("%s", estimate)
        return estimate


class _Clock:
    """Seconds of the run including those before a restart, and the time of the last checkpoint."""

    def __init__(self, before: float) -> None:
        self._start = time.perf_counter() - before
        self.saved = self.seconds

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _epoch(state: State, run: Run, clock: _Clock, trial: _Trial) -> None:
    """Train on the remaining batches of an epoch; update once per ``accumulate`` batches."""
    config, device = run.config, next(state.module.parameters()).device
    steps_per_epoch = len(run.batches.plan(0))
    total = steps_per_epoch * config.epochs
    waiting = 0
    started = time.perf_counter()
    for batch in run.batches.batches(state.progress.epoch, skip=state.progress.batch):
        loss = 0.0
        if batch is not None:
            _set_learning_rate(state.optimizer, config, state.progress.step / total)
            loss = _learn(state, run, batch.to(device))
            waiting += 1
        if waiting == config.accumulate:
            _update(state, run)
            waiting = 0
        at = state.progress
        state.progress = replace(
            at,
            batch=at.batch + 1,
            step=at.step + 1,
            loss_sum=at.loss_sum + loss,
            losses=at.losses + (batch is not None),
            seconds=clock.seconds,
            step_seconds=at.step_seconds + time.perf_counter() - started,
        )
        # A checkpoint holds no gradients, so it is written only right after an update.
        due = clock.seconds - clock.saved > config.checkpoint_seconds
        if run.folder is not None and due and not waiting:
            save_checkpoint(run.folder, state)
            clock.saved = clock.seconds
        left = steps_per_epoch * run.most_epochs - at.step - 1
        reading = _READING * run.read_tokens / config.tokens_per_batch
        spent = time.perf_counter() - started
        estimate = trial.tried(spent, max(left, 0) + reading, device)
        if run.report is not None:
            run.report(replace(_report(state, run, clock, steps_per_epoch), estimate=estimate))
        started = time.perf_counter()
    if waiting:
        _update(state, run)


def _close_epoch(state: State, run: Run, clock: _Clock, steps_per_epoch: int) -> None:
    """Validate if it is due, keep the best weights, and move to the next epoch."""
    at, config = state.progress, run.config
    last = at.epoch + 1 == run.most_epochs
    if run.validate is None:
        if last and state.average:
            state.weights.write(state.average)
    elif last or (at.epoch + 1) % config.validate_every == 0:
        value = _validated(state, run.validate)
        report = replace(_report(state, run, clock, steps_per_epoch), validation=value)
        better = value > at.best
        if better:
            kept = state.average or state.weights.read()
            state.best = {name: weight.detach().clone() for name, weight in kept.items()}
        entry = {
            "epoch": at.epoch + 1,
            "step": at.step,
            "seconds": round(clock.seconds, 3),
            "loss": report.loss,
            "interactions_per_second": report.interactions_per_second,
            "validation": value,
        }
        at = replace(
            at, best=max(value, at.best), stale=0 if better else at.stale + 1, log=(*at.log, entry)
        )
        if run.report is not None:
            run.report(report)
    state.progress = replace(
        at, epoch=at.epoch + 1, batch=0, loss_sum=0.0, losses=0, seconds=clock.seconds
    )
    if run.folder is not None:
        save_checkpoint(run.folder, state)
        clock.saved = clock.seconds


def _validated(state: State, validate: Validate[Any]) -> float:
    """Return the validation value of the averaged weights, or of the weights without averaging."""
    if not state.average:
        return validate(state.module)
    own = {name: weight.detach().clone() for name, weight in state.weights.read().items()}
    state.weights.write(state.average)
    value = validate(state.module)
    state.weights.write(own)
    return value


def _learn(state: State, run: Run, batch: Movable) -> float:
    """Add the gradient of a batch to the accumulated gradient, and return the loss."""
    objective, step, module = run.objective, run.step, state.module
    assert objective is not None
    assert step is not None
    module.train()
    return step.add_gradient(
        module, lambda: objective(module, batch), share=1 / run.config.accumulate
    )


def _update(state: State, run: Run) -> None:
    """Update the weights from the accumulated gradient, and their running average."""
    assert run.step is not None
    run.step.update(state.module, state.optimizer)
    if run.config.average:
        _update_average(state, run.config.average)


def _freeze(model: RecommendationModel, config: TrainingConfig) -> None:
    for name, weight in model.named_parameters():
        learns = not config.trained or name.startswith(config.trained)
        weight.requires_grad_(
            learns and not name.startswith(config.frozen) and name in model.trainable
        )
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ConfigError(
            "Nothing is left to learn: no weight is among training.trained and not frozen.",
            hint=f"The names of the weights begin with {', '.join(_beginnings(model))}.",
        )
    if model.tuning.kind == "full" and any(w.requires_grad for w in model.decoder.parameters()):
        model.borrowed = False


def _beginnings(model: RecommendationModel) -> list[str]:
    return sorted({name.split(".")[0] for name, _ in model.named_parameters()})


def _optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return AdamW with weight decay on matrices only, not on gains and biases."""
    matrices = [p for p in module.parameters() if p.ndim > 1 and p.requires_grad]
    vectors = [p for p in module.parameters() if p.ndim < 2 and p.requires_grad]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, share_done: float
) -> None:
    """Set the learning rate: a linear warm-up, then a cosine decay to a twentieth."""
    if share_done < config.warmup:
        factor = (share_done + 1e-3) / config.warmup
    else:
        along = (share_done - config.warmup) / (1 - config.warmup)
        factor = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along))
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * min(factor, 1.0)


@torch.no_grad()
def _update_average(state: State, decay: float) -> None:
    weights = state.weights.read()
    if not state.average:
        state.average = {name: weight.detach().clone() for name, weight in weights.items()}
        return
    # A short memory at first, so that the average soon forgets the fresh weights.
    step = state.progress.step
    decay = min(decay, (1 + step) / (10 + step))
    for name, weight in weights.items():
        state.average[name].lerp_(weight, 1 - decay)


def _report(state: State, run: Run, clock: _Clock, steps_per_epoch: int) -> Report:
    at = state.progress
    steps = steps_per_epoch * run.most_epochs
    per_epoch = run.batches.num_interactions
    return Report(
        measure=run.measure,
        epoch=at.epoch + 1,
        epochs=run.most_epochs,
        step=at.step,
        steps=steps,
        loss=at.loss_sum / max(at.losses, 1),
        interactions_per_second=at.step / steps_per_epoch * per_epoch / max(at.step_seconds, 1e-9),
        # Later epochs may have a few batches more than the first.
        seconds_left=clock.seconds / max(at.step, 1) * max(steps - at.step, 0),
    )
