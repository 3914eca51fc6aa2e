"""Device and precision of a model: the only place that chooses a device.

All other code takes the device from a tensor or a model.
"""

import os
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from palate.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]
"""Data type of matrix products; weights are kept in float32.

Except where a recipe keeps those of its backbone in bfloat16: ``float32`` outweighs that.
"""

_NAME = re.compile(r"auto|cpu|cuda(:(?P<number>[0-9]+))?")
_FIRST_WITH_BFLOAT16 = 8
"""Compute capability of the first NVIDIA GPUs that multiply bfloat16 in hardware (Ampere)."""


@dataclass(frozen=True)
class Device:
    """A device and the precision of its matrix products."""

    where: torch.device
    precision: Precision = "auto"

    @property
    def trains_in_bfloat16(self) -> bool:
        """Whether training multiplies in bfloat16; with ``auto`` only where that is faster."""
        if self.precision == "auto":
            return has_fast_bfloat16(self.where)
        return self.precision == "bfloat16"

    @property
    def answers_in_bfloat16(self) -> bool:
        """Whether inference reads prompts in bfloat16; not with ``auto``, since scores change."""
        return self.precision == "bfloat16"

    @property
    def training(self) -> str:
        """Device and precision of training in words, such as ``cuda:0 in bfloat16``."""
        return f"{self.where} in {'bfloat16' if self.trains_in_bfloat16 else 'float32'}"

    @property
    def is_slowed_by_bfloat16(self) -> bool:
        """Whether bfloat16 was asked for where float32 is faster."""
        return self.precision == "bfloat16" and not has_fast_bfloat16(self.where)


def choose_device(name: str = "auto", precision: Precision = "auto") -> Device:
    """Return the device called ``name``: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    ``auto`` is the first GPU that CUDA offers, else the processor.

    Raises:
        ConfigError: when there is no such device, or it does not support the precision.

    Example:
        >>> choose_device("cpu").where
        device(type='cpu')
    """
    named = _NAME.fullmatch(name)
    if named is None:
        raise ConfigError(
            f"There is no device {name!r}.", hint="Give auto, cpu, cuda or cuda:N, such as cuda:1."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return Device(torch.device("cpu"), precision)
    number = int(named["number"] or 0)
    _check_gpu(name, number)
    where = torch.device("cuda", number)
    if precision == "bfloat16" and not has_fast_bfloat16(where):
        raise ConfigError(
            f"The precision bfloat16 was requested, and the device {str(where)!r} does not "
            "multiply it in hardware.",
            hint="Give --precision float32, or auto to take bfloat16 only where it is faster.",
        )
    return Device(where, precision)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether matrix products in bfloat16 run in hardware on ``device``."""
    if device.type == "cuda":
        # AMD's have it throughout; they number their capabilities from 9 on.
        return torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH_BFLOAT16
    # AVX-512 multiplies bfloat16 too, but with the conversions it is slower than float32.
    return bool(torch.cpu._is_amx_tile_supported())


def memory_bytes() -> int:
    """Return the size of the machine's memory; a terabyte where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no such call
        return 2**40


def autocast(device: torch.device, *, enabled: bool) -> AbstractContextManager[object]:
    """Return a context in which matrix products run in bfloat16 if ``enabled``."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if enabled else nullcontext()


def _check_gpu(name: str, number: int) -> None:
    """Check that CUDA offers the GPU with this number."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number < found:
        return
    if not torch.backends.cuda.is_built():
        offered = "this torch is built without CUDA"
    else:
        offered = f"it offers {found or 'none'}"
    numbers = f"cuda:0 to cuda:{found - 1}" if found > 1 else "cuda:0"
    others = f"--device {numbers}" if found else "--device cpu"
    raise ConfigError(
        f"The device {name!r} was requested, and CUDA does not offer it: {offered}.",
        hint=f"Give {others}, or auto to take a GPU only where there is one.",
    )
