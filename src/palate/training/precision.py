"""Where bfloat16 pays: on processors that multiply matrices of it, else it is slower."""

from contextlib import AbstractContextManager, nullcontext

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether matrix products in bfloat16 run in hardware on ``device``."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # AVX-512 multiplies pairs of bfloat16 too, but slower than float32 with all that is converted.
    return bool(torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, *, enabled: bool) -> AbstractContextManager[object]:
    """Return the context in which a training step runs."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if enabled else nullcontext()
