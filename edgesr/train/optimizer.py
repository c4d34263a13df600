"""The optimizer that a run's settings name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from edgesr.train.config import TrainConfig
from edgesr.train.muon import Muon

OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = MappingProxyType(
    {"adam": torch.optim.Adam, "muon": Muon}
)


def make_optimizer(config: TrainConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return ``config.optimizer`` for ``groups`` of parameters, at the peak rate."""
    return OPTIMIZERS[config.optimizer](groups, lr=config.learning_rate)
