"""How fast LoRA trains a language model of over 100 million parameters, and in how much memory.

    .venv/bin/python bench/lora.py [--rows 4] [--time 128] [--steps 4] [--dtype bfloat16]

A random checkpoint of the Llama kind (width 768, 12 layers, 32,000 words) is saved into a folder,
opened by its path as a user opens one, and trained on random words with a LoRA update on all linear
layers. On a GPU where there is one, in bfloat16; else on the processor, in float32.

Model FLOP utilisation is the share of the machine's own matrix product that the training reaches.
Only what LoRA needs is counted: forward and the gradients of activations, 4 FLOP per token and
weight of a product, not the 6 of full training; of attention the half that a causal mask leaves.
The last line is ``lora: <tokens per second> tokens/s, <GB> GB, <MFU %>``.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import console, machine, options_of, parser, peak_gb
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.backbones.estimate import Reading, Weights, estimate
from palate.models.backbones.tuning import TuningConfig, trainable_parameters

WIDTH, LAYERS, MLP, VOCABULARY = 768, 12, 2048, 32_000
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LIMIT_GB = 16
WARM_UP = 2
"""Steps before the clock starts; the last of them is the trial that the estimate is made from."""


@dataclass(frozen=True)
class Size:
    """What is trained on."""

    rows: int
    time: int
    steps: int
    layers: int = LAYERS
    width: int = WIDTH
    mlp: int = MLP
    vocabulary: int = VOCABULARY


def main() -> None:
    arguments = parser(__doc__)
    cuda = torch.cuda.is_available()
    arguments.add_argument("--rows", type=int, default=32 if cuda else 4)
    arguments.add_argument("--time", type=int, default=1024 if cuda else 128)
    arguments.add_argument("--steps", type=int, default=20 if cuda else 4)
    arguments.add_argument("--rank", type=int, default=16)
    arguments.add_argument("--recompute", action="store_true", help="gradient checkpointing")
    arguments.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="bfloat16" if cuda else "float32"
    )
    chosen = arguments.parse_args()
    options = options_of("lora", chosen)
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    device = torch.device("cuda" if cuda else "cpu")
    where = torch.cuda.get_device_name() if cuda else f"{machine()}, {options.threads} thread(s)"
    console.print(f"{where}, {chosen.dtype}")
    size = Size(chosen.rows, chosen.time, chosen.steps)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder), size)
        config = BackboneConfig(
            path=folder,
            dtype=chosen.dtype,
            gradient_checkpointing=chosen.recompute,
            tuning=TuningConfig(kind="lora", rank=chosen.rank, targets=PROJECTIONS),
        )
        backbone = load_backbone(config)
    assert isinstance(backbone, CausalBackbone)
    rate, gigabytes, utilisation = trained(backbone.to(device), size, recompute=chosen.recompute)
    console.print(f"within {LIMIT_GB} GB: {'yes' if gigabytes <= LIMIT_GB else 'no'}")
    print(f"lora: {rate:,.0f} tokens/s, {gigabytes:.1f} GB, {utilisation:.1%}")


def save_checkpoint(folder: Path, size: Size) -> None:
    """Write a model with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.width // 64,
        num_key_value_heads=size.width // 64,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def trained(backbone: CausalBackbone, size: Size, *, recompute: bool) -> tuple[float, float, float]:
    """Train some steps; return tokens per second, gigabytes, and the share of the peak."""
    device, dtype = backbone.words.device, backbone.words.dtype
    weights = Weights.of(backbone)
    share = weights.trained / weights.parameters
    console.print(f"{weights.parameters:,} parameters, {weights.trained:,} trained ({share:.2%})")
    peak = product_peak(device, dtype)
    optimizer = torch.optim.AdamW(trainable_parameters(backbone.train()), lr=1e-4)
    draw = torch.Generator().manual_seed(1)
    seconds: list[float] = []
    for step in range(WARM_UP + size.steps):
        tokens = torch.randint(size.vocabulary, (size.rows, size.time), generator=draw).to(device)
        started = time.perf_counter()
        loss = one_step(backbone, optimizer, tokens)
        seconds.append(time.perf_counter() - started)
        if step == WARM_UP - 1:
            console.print(f"estimated: {estimated(weights, size, seconds[-1], dtype, recompute)}")
    taken = sum(seconds[WARM_UP:])
    rate = size.rows * size.time * size.steps / taken
    used = rate * flop_per_token(weights, size)
    held = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else peak_gb()
    console.print(
        f"measured: {taken:.0f} s, {held:.1f} GB, loss {loss:.2f}; {used / 1e9:,.0f} of "
        f"{peak / 1e9:,.0f} GFLOP/s"
    )
    return rate, held, used / peak


def one_step(backbone: CausalBackbone, optimizer: torch.optim.Optimizer, tokens: Tensor) -> float:
    """Learn to say the next word of random ones, and return the loss."""
    positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
    hidden, _ = backbone(backbone.embed(tokens), positions)
    logits = backbone.word_logits(hidden[:, :-1]).flatten(0, 1).float()
    loss = F.cross_entropy(logits, tokens[:, 1:].flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())  # waits for the device


def estimated(
    weights: Weights, size: Size, step_seconds: float, dtype: torch.dtype, recompute: bool
) -> str:
    """Return what is told before a run starts; the libraries' own memory is known by now."""
    reading = Reading(
        rows=size.rows,
        time=size.time,
        layers=size.layers,
        width=size.width,
        mlp_width=size.mlp,
        words=size.vocabulary,
        bytes_each=dtype.itemsize,
        beside_width=6 * size.width + size.mlp,  # one projection reads what the gate let through
        recomputed=recompute,
    )
    return str(
        estimate(
            weights,
            reading,
            steps=size.steps,
            step_seconds=step_seconds,
            held_bytes=0 if torch.cuda.is_available() else LIBRARIES_BYTES,
        )
    )


def flop_per_token(weights: Weights, size: Size) -> float:
    """Return the work of one token: products with the weights, and attention.

    The table of words is in ``weights`` once; looking a word up is free and the head is a product,
    so it counts once.
    """
    products = 4 * weights.parameters + 2 * weights.trained
    return products + 6 * size.layers * size.time * size.width


def product_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP per second of a large matrix product, the best of some."""
    side = 8192 if device.type == "cuda" else 2048
    one = torch.randn(side, side, device=device).to(dtype)
    best = 0.0
    for _ in range(6):
        started = time.perf_counter()
        float((one @ one)[0, 0])
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


LIBRARIES_BYTES = int(peak_gb() * 2**30)
"""What the process held before there was a model."""


if __name__ == "__main__":
    main()
