"""Where bfloat16 pays: on processors that multiply it in hardware, else it is far slower."""

from contextlib import AbstractContextManager, nullcontext

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether matrix products in bfloat16 run in hardware on ``device``."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Not `mkldnn.is_bf16_supported`: that is also true where AVX-512 emulates it.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, *, enabled: bool) -> AbstractContextManager[object]:
    """Return the context in which a training step runs."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if enabled else nullcontext()
