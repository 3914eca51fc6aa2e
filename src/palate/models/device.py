"""Device and precision of a model: the only place that chooses a device.

All other code takes the device from a tensor or a model.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from palate.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]
"""Data type of matrix products; weights are always kept in float32."""


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
        """Whether inference multiplies in bfloat16; not with ``auto``, since scores change."""
        return self.precision == "bfloat16"


def choose_device(name: str = "auto", precision: Precision = "auto") -> Device:
    """Return the device called ``name``: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    ``auto`` is the first GPU that CUDA offers, else the processor.

    Raises:
        ConfigError: when there is no such device, or it does not support the precision.

    Example:
        >>> choose_device("cpu").where
        device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise ConfigError(
            f"There is no device {name!r}.", hint="Give auto, cpu, cuda or cuda:N, such as cuda:1."
        )
    if kind == "cuda":
        _check_gpu(name, int(number or 0))
    where = torch.device(name)
    if precision == "bfloat16" and kind == "cuda" and not has_fast_bfloat16(where):
        raise ConfigError(
            f"The device {name!r} does not compute in bfloat16.", hint="Give --precision float32."
        )
    return Device(where, precision)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether matrix products in bfloat16 run in hardware on ``device``."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # AVX-512 multiplies bfloat16 too, but with the conversions it is slower than float32.
    return bool(torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, *, enabled: bool) -> AbstractContextManager[object]:
    """Return a context in which matrix products run in bfloat16 if ``enabled``."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if enabled else nullcontext()


def _check_gpu(name: str, number: int) -> None:
    """Check that CUDA offers the GPU with this number."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number < found:
        return
    build = "" if torch.version.cuda else " (this torch is built without CUDA)"
    offered = f"it offers {found}" if found else f"it offers none{build}"
    raise ConfigError(
        f"The device {name!r} was requested, and CUDA does not offer it: {offered}.",
        hint="Give --device cpu, or auto to take a GPU only where there is one.",
    )
