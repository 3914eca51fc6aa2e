"""Checkpoints of a training run, written atomically.

A checkpoint holds weights, optimizer state, averages, random state and counters.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from palate.errors import ArtifactError
from palate.storage import whole_file

_FILE = "checkpoint.safetensors"


@dataclass(frozen=True)
class Progress:
    """Counters of a run between two steps."""

    run: str
    """Hash of everything that determines the run; a run never resumes another's checkpoint."""
    epoch: int = 0
    batch: int = 0
    """Finished batches of this epoch."""
    step: int = 0
    loss_sum: float = 0.0
    losses: int = 0
    best: float = -1.0
    """Best validation value so far."""
    stale: int = 0
    """Number of validations since the best."""
    seconds: float = 0.0
    """Seconds since the start, validation included."""
    step_seconds: float = 0.0
    """Seconds spent on building batches and on training steps, for the throughput."""
    log: tuple[Mapping[str, object], ...] = field(default=())
    """One entry per validation, as in ``training.jsonl``."""
    where: str = ""
    """Device and precision in words; empty where the run did not say."""


@dataclass(frozen=True)
class Weights:
    """How to read and write the weights that a run changes."""

    read: Callable[[], dict[str, Tensor]]
    write: Callable[[Mapping[str, Tensor]], object]


@dataclass
class State:
    """Everything that changes during training: the only mutable part of a run."""

    module: nn.Module
    weights: Weights
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    """Running average of the weights; empty without averaging."""
    best: dict[str, Tensor]
    """Weights of the best validation; empty before the first."""
    progress: Progress


def save_checkpoint(folder: Path, state: State) -> None:
    """Write the state; it replaces the previous checkpoint only when it is complete.

    Raises:
        ArtifactError: when it cannot be written, for example because the disk is full.
    """
    tensors = {f"model.{k}": v for k, v in state.weights.read().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.items()}
    tensors |= {f"best.{k}": v for k, v in state.best.items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in values.items()
        }
    tensors["random"] = torch.get_rng_state()
    device = next(state.module.parameters()).device
    if device.type == "cuda":
        tensors["random_cuda"] = torch.cuda.get_rng_state(device)
    copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with whole_file(folder / _FILE) as temporary:
        save_file(copies, temporary, metadata={"progress": json.dumps(asdict(state.progress))})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def load_checkpoint(folder: Path, state: State) -> bool:
    """Restore ``state`` from the checkpoint in ``folder``; return whether there was one.

    A checkpoint of another run is ignored. One of another device is taken over.

    Raises:
        ArtifactError: when there is a checkpoint that cannot be read.
    """
    path = folder / _FILE
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            stored = json.loads(file.metadata()["progress"])
            if stored["run"] != state.progress.run:
                return False
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"The checkpoint {str(path)!r} cannot be read: {error}.",
            hint="Delete it to start afresh.",
        ) from error
    state.weights.write(_under(tensors, "model."))
    device = next(state.module.parameters()).device
    state.average = {k: v.to(device) for k, v in _under(tensors, "average.").items()}
    state.best = _under(tensors, "best.")
    _load_optimizer(state.optimizer, _under(tensors, "optimizer."))
    torch.set_rng_state(tensors["random"])
    if "random_cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random_cuda"], device)
    state.progress = Progress(**(stored | {"log": tuple(stored["log"])}))
    return True


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    whole = optimizer.state_dict()
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        entries.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": entries, "param_groups": whole["param_groups"]})
