"""Which number format the steps run in."""

from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def autocast_precision(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Return the autocast type, or None for plain float32.

    ``auto`` takes bfloat16 where the device has units for it; elsewhere it would be slower.
    """
    if precision == "fp32" or (precision == "auto" and not has_bf16_units(device)):
        return None
    return torch.bfloat16


def has_bf16_units(device: torch.device) -> bool:
    """Say whether ``device`` multiplies bfloat16 in hardware (as far as the system tells)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return not _BF16_FLAGS.isdisjoint(flags.split())
