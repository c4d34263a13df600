"""Exponential moving average of weights, with a warm-up of its memory."""

from collections.abc import Iterable

import torch
from torch import Tensor


def ema_decay_at(step: int, decay: float) -> float:
    """Return the decay at ``step`` (from 0): short memory first, ``decay`` in the long run."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(averages: Iterable[Tensor], weights: Iterable[Tensor], decay: float) -> None:
    """Move ``averages`` in place to ``decay * average + (1 - decay) * weight``."""
    torch._foreach_lerp_(list(averages), list(weights), 1 - decay)
