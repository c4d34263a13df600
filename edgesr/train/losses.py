"""Pixel losses on RGB in [0, 255], float32, mean over all values."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from edgesr.train.config import TrainConfig

Loss = Callable[[Tensor, Tensor], Tensor]
_EPSILON = 0.255


def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """Smooth L1, ``sqrt(d**2 + eps**2)`` with eps = 1e-3 of the range.

    Source: Lai et al. 2017, arXiv 1704.03915, eq. 1.
    """
    return torch.sqrt((sr - hr) ** 2 + _EPSILON**2).mean()  # eq. 1


def loss_at(config: TrainConfig, step: int) -> Loss:
    """Return the loss of ``step`` (from 0): another one at the end of a run."""
    ends = step >= config.steps - config.final_loss_steps
    return LOSSES[config.final_loss if ends else config.loss]


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {"l1": functional.l1_loss, "charbonnier": charbonnier, "l2": functional.mse_loss}
)
