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
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.language.stream import Batch
from palate.models.backbones.estimate import Estimate, peak_bytes
from palate.models.code_tokens import CodeTokens
from palate.models.language_model import (
    ItemTable,
    RecommendationModel,
    mentioned,
    references_of,
)
from palate.training.batches import Mixture
from palate.training.checkpoint import Progress, State, load_checkpoint, save_checkpoint
from palate.training.objectives import (
    binary_cross_entropy,
    contrast,
    log_expected_uniform,
    next_code,
    next_word,
    sampled_softmax,
)
from palate.training.precision import autocast, has_fast_bfloat16
from palate.training.recipe import TrainingConfig

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
    estimate: Estimate | None = None
    """What the run will take, told once, after some steps were tried."""


@dataclass(frozen=True)
class Run:
    """One training run: all that is fixed while it lasts."""

    mixture: Mixture
    config: TrainingConfig
    validate: Validate
    name: str
    """Hash of everything that decides the run."""
    folder: Path | None = None
    """Where checkpoints go; None keeps none."""
    report: Callable[[Report], None] | None = None


def train(model: RecommendationModel, run: Run) -> Sequence[Mapping[str, object]]:
    """Train ``model`` in place and return the learning curve.

    The model is left with the weights of its best validation. Continues from the checkpoint in
    ``run.folder`` where there is one of the same run; the result is then the same, bit for bit on a
    CPU, as if it had never stopped.
    """
    config = run.config
    if config.tuning is not None:
        model.tune(config.tuning)
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
        while state.progress.epoch < config.epochs and state.progress.stale < config.patience:
            _epoch(state, run, clock, trial)
            _close_epoch(state, run, clock, steps_per_epoch)
    if state.best:
        model.load_own_state(state.best)
    model.train(mode=False)
    return state.progress.log


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
        told = trial.tried(time.perf_counter() - started, max(total - at.step - 1, 0), device)
        if run.report is not None:
            run.report(replace(_report(state, run, clock, steps_per_epoch), estimate=told))
        started = time.perf_counter()
    if waiting:
        _step(state, config)


def _close_epoch(state: State, run: Run, clock: _Clock, steps_per_epoch: int) -> None:
    """Validate where it is due, keep the best weights, and move to the next epoch."""
    at, config = state.progress, run.config
    last = at.epoch + 1 == config.epochs
    if last or (at.epoch + 1) % config.validate_every == 0:
        value = _validate_average(state, run) if state.average else run.validate(state.model)
        report = replace(_report(state, run, clock, steps_per_epoch), validation=value)
        better = value > at.best
        if better:
            kept = state.average or state.model.own_state()
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


def _validate_average(state: State, run: Run) -> float:
    own = {name: weight.detach().clone() for name, weight in state.model.own_state().items()}
    state.model.load_own_state(state.average)
    value = run.validate(state.model)
    state.model.load_own_state(own)
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


def batch_loss(model: RecommendationModel, batch: Batch, config: TrainingConfig) -> Tensor:
    """Return the loss of one batch, answered in words, as a set or in codes."""
    read = mentioned(batch, model.num_items)
    if batch.replies is not None:
        return config.text_weight * _word_loss(model, batch, batch.replies, config)
    sets = _SetAnswers.of(model, batch, config) if config.set_weight else None
    needed = read if sets is None else torch.cat([read, sets.mentioned])
    table = model.items(needed, batch.descriptions)
    in_codes = model.codes is not None and config.code_weight > 0
    spelled = batch.targets[:, :, 0] if in_codes else None
    states = model.states(batch, table, users=sets is not None, spelled=spelled)
    losses = []
    if sets is not None and states.users is not None:
        losses.append(config.set_weight * sets.loss(model, states.users.float(), table, config))
    if model.codes is not None and states.codes is not None:
        losses.append(config.code_weight * _code_loss(model.codes, states.codes, batch, config))
    return torch.stack(losses).sum()


@dataclass(frozen=True)
class _SetAnswers:
    """Targets and negatives of a batch whose answers are sets."""

    targets: Int[Tensor, "probes targets"]
    references: Int[Tensor, "probes targets"]
    negatives: Int[Tensor, " negatives"]

    @classmethod
    def of(cls, model: RecommendationModel, batch: Batch, config: TrainingConfig) -> "_SetAnswers":
        """Draw the negatives."""
        targets = batch.targets[batch.cuts >= 0]
        without_id = batch.without_id[:, None].expand(batch.cuts.shape)[batch.cuts >= 0]
        references = references_of(targets, without_id[:, None], model.num_items)
        return cls(targets, references, _negatives(model, config, len(targets), targets.device))

    @property
    def mentioned(self) -> Int[Tensor, " references"]:
        """All references whose vectors are needed."""
        targets = self.references.flatten()
        return torch.cat([targets[targets >= 0], self.negatives])

    def loss(
        self,
        model: RecommendationModel,
        users: Float[Tensor, "probes queries width"],
        table: ItemTable,
        config: TrainingConfig,
    ) -> Tensor:
        """Return the loss of the user vectors under the objective of ``config``."""
        targets, negatives, outputs = self.targets, self.negatives, table.outputs.float()
        target_vectors = outputs[table.place[self.references.clamp(min=0)]]
        negative_vectors = outputs[table.place[negatives]]
        if config.objective == "bce":
            return binary_cross_entropy(users, target_vectors, negative_vectors, scale=model.scale)
        weights = (targets >= 0).float()
        place = torch.full((model.num_items,), -1, device=targets.device)
        place[negatives] = torch.arange(len(negatives), device=targets.device)
        expected = log_expected_uniform(len(negatives), model.num_items)
        return sampled_softmax(
            users,
            target_vectors,
            negative_vectors,
            weights_NK=weights / weights.sum(dim=1, keepdim=True).clamp(min=1),
            collisions=torch.where(targets >= 0, place[targets.clamp(min=0)], -1),
            log_expected=outputs.new_full((len(negatives),), expected),
            scale=model.scale,
        )


def _word_loss(
    model: RecommendationModel,
    batch: Batch,
    replies: Int[Tensor, "batch probes words"],
    config: TrainingConfig,
) -> Tensor:
    """Return the loss of the replies, with the contrasts that ``config`` wants."""
    contrasted = config.target_contrast + config.user_contrast
    table = model.items(mentioned(batch, model.num_items), batch.descriptions)
    states = model.states(batch, table, users=False, replies=replies, keep_rows=contrasted > 0)
    assert states.words is not None
    wanted = replies[batch.cuts >= 0]
    logits = model.word_logits(states.words[wanted >= 0])
    loss = (1 - contrasted) * next_word(logits, wanted[wanted >= 0])
    if states.rows is None:
        return loss
    alone = _mean_state(model.read_alone(wanted), wanted >= 0)
    temperature = config.contrast_temperature
    together = _mean_state(states.words, wanted >= 0)
    loss = loss + config.target_contrast * contrast(together, alone, temperature=temperature)
    read = torch.arange(states.rows.shape[1], device=batch.cuts.device) < batch.cuts[:, :, None]
    rows = states.rows[:, None].expand(-1, batch.cuts.shape[1], -1, -1)[batch.cuts >= 0]
    users = _mean_state(rows, read[batch.cuts >= 0])
    return loss + config.user_contrast * contrast(users, alone, temperature=temperature)


def _mean_state(
    states: Float[Tensor, "texts words width"], there: Bool[Tensor, "texts words"]
) -> Float[Tensor, "texts width"]:
    total = (states * there[..., None]).sum(dim=1)
    return total / there.sum(dim=1, keepdim=True).clamp(min=1)


def _code_loss(
    codes: CodeTokens,
    states: Float[Tensor, "probes levels width"],
    batch: Batch,
    config: TrainingConfig,
) -> Tensor:
    """Return the loss of the codes of each probe's first target."""
    wanted = codes.values[batch.targets[:, :, 0][batch.cuts >= 0]] - codes.first_tokens
    logits = [codes.logits(states[:, level], level) for level in range(codes.num_levels)]
    return next_code(logits, wanted, temperature=config.code_temperature)


def _negatives(
    model: RecommendationModel, config: TrainingConfig, num_probes: int, device: torch.device
) -> Tensor:
    """Draw negatives uniformly: one per probe for ``bce``, else distinct ones for the batch."""
    if config.objective == "bce":
        return torch.randint(model.num_items, (num_probes,), device=device)
    if config.num_negatives >= model.num_items:
        return torch.arange(model.num_items, device=device)
    return torch.randperm(model.num_items, device=device)[: config.num_negatives]


def _freeze(model: RecommendationModel, config: TrainingConfig) -> None:
    for name, weight in model.named_parameters():
        learns = not config.trained or name.startswith(config.trained)
        weight.requires_grad_(
            learns and not name.startswith(config.frozen) and name in model.trainable
        )
    if model.tuning.kind == "full" and any(w.requires_grad for w in model.decoder.parameters()):
        model.borrowed = False


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
    weights = state.model.own_state()
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
    steps = steps_per_epoch * run.config.epochs
    per_epoch = sum(len(history) for history in run.mixture.sequences)
    return Report(
        epoch=at.epoch + 1,
        epochs=run.config.epochs,
        step=at.step,
        steps=steps,
        loss=at.loss_sum / max(at.losses, 1),
        interactions_per_second=at.step / steps_per_epoch * per_epoch / max(at.step_seconds, 1e-9),
        # Later epochs may be cut into a few batches more than the first.
        seconds_left=clock.seconds / max(at.step, 1) * max(steps - at.step, 0),
    )
