"""Estimate of the memory and time of a training run before it starts.

Memory is the sum of weights, gradients, the optimizer's moments, the activations kept for the
backward pass, and the logits of words. Time is the number of steps times the seconds of a trial
step.
"""

import sys
from dataclasses import dataclass

import torch
from torch import nn

_GIGABYTE = 2**30


@dataclass(frozen=True)
class Weights:
    """Size of a model, and of the part of it that is trained."""

    parameters: int
    trained: int
    num_bytes: int
    trained_bytes: int

    @classmethod
    def of(cls, module: nn.Module) -> "Weights":
        """Count the parameters of ``module``, shared ones once."""
        every = list(module.parameters())
        trained = [weight for weight in every if weight.requires_grad]
        return cls(
            parameters=sum(weight.numel() for weight in every),
            trained=sum(weight.numel() for weight in trained),
            num_bytes=sum(weight.nbytes for weight in every),
            trained_bytes=sum(weight.nbytes for weight in trained),
        )


@dataclass(frozen=True)
class Reading:
    """Shape of one step's input and of the network it runs through."""

    rows: int
    time: int
    """Tokens of the longest row."""
    layers: int
    width: int
    mlp_width: int
    words: int = 0
    """Size of the vocabulary where every token gets logits over it, else 0."""
    bytes_each: int = 4
    """Bytes of one activation: 4 in float32, 2 in bfloat16."""
    beside_width: int = 0
    """Summed input widths of the LoRA updates of one layer, where they have dropout."""
    recomputed: bool = False
    """Gradient checkpointing: each layer keeps only its input."""

    @property
    def activation_bytes(self) -> int:
        """Bytes kept for the backward pass.

        A layer of the Llama kind keeps per token about 10 vectors of ``width`` (its input, both
        normalised streams, queries, keys, values, the attention output and its projection) and 4
        of ``mlp_width`` (gate, up, the activated gate, their product); attention scores are not
        kept. Dropout before a LoRA update keeps its input once more, and a byte of mask. Logits
        are held four times, in float32: themselves, their log-softmax, and both gradients.
        """
        tokens = self.rows * self.time
        layer = (10 * self.width + 4 * self.mlp_width) * self.bytes_each
        layer += self.beside_width * (self.bytes_each + 1)
        kept = self.layers * layer
        if self.recomputed:
            kept = self.layers * self.width * self.bytes_each + layer
        return tokens * (kept + 4 * 4 * self.words)


@dataclass(frozen=True)
class Estimate:
    """How long a run takes and how much memory it holds at most."""

    seconds: float
    num_bytes: int

    def __str__(self) -> str:
        """Return one line such as ``about 35 min, 6.1 GB``."""
        return f"about {_duration(self.seconds)}, {self.num_bytes / _GIGABYTE:.1f} GB"


def estimate(
    weights: Weights,
    reading: Reading,
    *,
    steps: int,
    step_seconds: float,
    moments: int = 2,
    held_bytes: int = 0,
) -> Estimate:
    """Return the time and memory that ``steps`` steps take.

    Args:
        weights: size of the model.
        reading: shape of one step.
        steps: steps of the whole run.
        step_seconds: seconds of one trial step.
        moments: copies of the trained weights that the optimizer keeps; Adam keeps two.
        held_bytes: other memory of the process: libraries, data.

    Example:
        >>> weights = Weights(100_000_000, 1_000_000, 400_000_000, 4_000_000)
        >>> reading = Reading(rows=8, time=256, layers=12, width=768, mlp_width=2048)
        >>> str(estimate(weights, reading, steps=1000, step_seconds=2.1))
        'about 35 min, 1.8 GB'
    """
    held = weights.num_bytes + (1 + moments) * weights.trained_bytes
    return Estimate(
        seconds=steps * step_seconds, num_bytes=held_bytes + held + reading.activation_bytes
    )


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory of the GPU or of the process, in bytes; 0 where it is unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
