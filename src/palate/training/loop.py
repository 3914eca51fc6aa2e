"""The one training loop: every language-model recipe runs through it.

It knows batches, an objective and a ``validate`` callable; it does not know data sets,
recommendations or files other than its checkpoint.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from palate.errors import ConfigError
from palate.language.batch import Batch
from palate.models.backbones.estimate import Estimate, peak_bytes
from palate.models.language_model import RecommendationModel
from palate.models.trainable_state import load_trainable_state, trainable_state, tune_backbone
from palate.training.batch_loss import batch_loss
from palate.training.batches import Mixture
from palate.training.checkpoint import Progress, State, load_checkpoint, save_checkpoint
from palate.training.config import TrainingConfig
from palate.training.precision import autocast, has_fast_bfloat16

_logger = logging.getLogger(__name__)

_TRIED_STEPS = 3

Validate = Callable[[RecommendationModel], float]
"""Returns what is to be maximised, on the validation part."""


@dataclass(frozen=True)
class Report:
    """What a run says of itself while it runs; the command line draws it."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    interactions_per_second: float
    seconds_left: float
    validation: float | None = None
    refit: bool = False
    """Whether the epochs were found before, and all that may be learned from is learned from."""
    measure: str = ""
    """What the validation measures, where that has a name."""
    estimate: Estimate | None = None
    """What the run will take, told once, after some steps were tried."""


@dataclass(frozen=True)
class Run:
    """One training run: all that is fixed while it lasts."""

    mixture: Mixture
    config: TrainingConfig
    validate: Validate | None
    """None validates never: all epochs are done, and the weights of the last are kept."""
    name: str
    """Hash of everything that decides the run."""
    folder: Path | None = None
    """Where checkpoints go; None keeps none."""
    report: Callable[[Report], None] | None = None
    measure: str = ""
    """What ``validate`` measures, where that has a name."""
    epochs: int | None = None
    """Stop after so many, with the learning rate of a run of ``config.epochs``; None does all."""

    @property
    def most_epochs(self) -> int:
        """Epochs after which it ends at the latest."""
        return self.config.epochs if self.epochs is None else self.epochs


def train(model: RecommendationModel, run: Run) -> Sequence[Mapping[str, object]]:
    """Train ``model`` in place and return the learning curve.

    The model is left with the weights of its best validation, or of the last epoch where nothing
    is validated. Continues from the checkpoint in ``run.folder`` where there is one of the same
    run; the result is then the same, bit for bit on a CPU, as if it had never stopped.

    Raises:
        ConfigError: when the configuration leaves nothing to learn.
    """
    config = run.config
    if config.tuning is not None:
        tune_backbone(model, config.tuning)
    _freeze(model, config)
    state = State(model, _optimizer(model, config), {}, {}, Progress(run=run.name))
    trial = _Trial()
    if run.folder is not None and load_checkpoint(run.folder, state):
        _logger.info(
            "continuing from epoch %d, step %d", state.progress.epoch + 1, state.progress.step
        )
    steps_per_epoch = len(run.mixture.plan(0))
    clock = _Clock(state.progress.seconds)
    with _compiled(model.decoder) if _compiles(model, config) else nullcontext():
        while state.progress.epoch < run.most_epochs and state.progress.stale < config.patience:
            _epoch(state, run, clock, trial)
            _close_epoch(state, run, clock, steps_per_epoch)
    if state.best:
        load_trainable_state(model, state.best)
    model.train(mode=False)
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
    """The first steps of a run, by which the others are reckoned; the very first warms up."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def tried(self, seconds: float, steps_left: int, device: torch.device) -> Estimate | None:
        """Take the seconds of a step; after some, return once what the others take."""
        if len(self._seconds) > _TRIED_STEPS:
            return None
        self._seconds.append(seconds)
        if len(self._seconds) <= _TRIED_STEPS:
            return None
        told = Estimate(sum(self._seconds[1:]) / _TRIED_STEPS * steps_left, peak_bytes(device))
        _logger.info("%s", told)
        return told


class _Clock:
    """Seconds of the run, those before a restart included; and when the next checkpoint is due."""

    def __init__(self, before: float) -> None:
        self._start = time.perf_counter() - before
        self.saved = self.seconds

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _epoch(state: State, run: Run, clock: _Clock, trial: _Trial) -> None:
    config, device = run.config, next(state.model.parameters()).device
    steps_per_epoch = len(run.mixture.plan(0))
    total = steps_per_epoch * config.epochs
    waiting = 0
    started = time.perf_counter()
    for batch in run.mixture.batches(state.progress.epoch, skip=state.progress.batch):
        loss = 0.0
        if batch is not None:
            _set_learning_rate(state.optimizer, config, state.progress.step / total)
            loss = _learn(state, batch.to(device), config)
            waiting += 1
        if waiting == config.accumulate:
            _step(state, config)
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
        due = clock.seconds - clock.saved > config.checkpoint_seconds
        if run.folder is not None and due and not waiting:
            save_checkpoint(run.folder, state)
            clock.saved = clock.seconds
        left = steps_per_epoch * run.most_epochs - at.step - 1
        told = trial.tried(time.perf_counter() - started, max(left, 0), device)
        if run.report is not None:
            run.report(replace(_report(state, run, clock, steps_per_epoch), estimate=told))
        started = time.perf_counter()
    if waiting:
        _step(state, config)


def _close_epoch(state: State, run: Run, clock: _Clock, steps_per_epoch: int) -> None:
    """Validate where it is due, keep the best weights, and move to the next epoch."""
    at, config = state.progress, run.config
    last = at.epoch + 1 == run.most_epochs
    if run.validate is None:
        if last and state.average:
            load_trainable_state(state.model, state.average)
    elif last or (at.epoch + 1) % config.validate_every == 0:
        value = _validated(state, run.validate)
        report = replace(_report(state, run, clock, steps_per_epoch), validation=value)
        better = value > at.best
        if better:
            kept = state.average or trainable_state(state.model)
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


def _validated(state: State, validate: Validate) -> float:
    """Return what the weights reach, or their average where one is kept."""
    if not state.average:
        return validate(state.model)
    own = {name: weight.detach().clone() for name, weight in trainable_state(state.model).items()}
    load_trainable_state(state.model, state.average)
    value = validate(state.model)
    load_trainable_state(state.model, own)
    return value


def _learn(state: State, batch: Batch, config: TrainingConfig) -> float:
    """Add the gradient of a batch to those that wait for a step, and return the loss."""
    model = state.model
    model.train()
    device = next(model.parameters()).device
    with autocast(device, enabled=has_fast_bfloat16(device)):
        loss = batch_loss(model, batch, config)
    (loss / config.accumulate).backward()
    return float(loss.detach())


def _step(state: State, config: TrainingConfig) -> None:
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.clip)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    if config.average:
        _update_average(state, config.average)


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


def _optimizer(model: RecommendationModel, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW with decay on matrices alone, not on gains and biases."""
    matrices = [p for p in model.parameters() if p.ndim > 1 and p.requires_grad]
    vectors = [p for p in model.parameters() if p.ndim < 2 and p.requires_grad]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, share_done: float
) -> None:
    """Rise linearly, then fall along a cosine to a twentieth."""
    if share_done < config.warmup:
        factor = (share_done + 1e-3) / config.warmup
    else:
        along = (share_done - config.warmup) / (1 - config.warmup)
        factor = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along))
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * min(factor, 1.0)


@torch.no_grad()
def _update_average(state: State, decay: float) -> None:
    weights = trainable_state(state.model)
    if not state.average:
        state.average = {name: weight.detach().clone() for name, weight in weights.items()}
        return
    # A short memory at first, so that the average is not held back by the fresh weights.
    step = state.progress.step
    decay = min(decay, (1 + step) / (10 + step))
    for name, weight in weights.items():
        state.average[name].lerp_(weight, 1 - decay)


def _report(state: State, run: Run, clock: _Clock, steps_per_epoch: int) -> Report:
    at = state.progress
    steps = steps_per_epoch * run.most_epochs
    per_epoch = sum(len(history) for history in run.mixture.sequences)
    return Report(
        measure=run.measure,
        epoch=at.epoch + 1,
        epochs=run.most_epochs,
        step=at.step,
        steps=steps,
        loss=at.loss_sum / max(at.losses, 1),
        interactions_per_second=at.step / steps_per_epoch * per_epoch / max(at.step_seconds, 1e-9),
        # Later epochs may be cut into a few batches more than the first.
        seconds_left=clock.seconds / max(at.step, 1) * max(steps - at.step, 0),
    )
