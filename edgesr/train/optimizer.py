"""The optimizer that a run's settings name."""

from typing import Any

import torch

from edgesr.train.config import TrainConfig
from edgesr.train.muon import Muon


def make_optimizer(config: TrainConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return ``config.optimizer`` for ``groups`` of parameters, at the peak rate."""
    make = Muon if config.optimizer == "muon" else torch.optim.Adam
    return make(groups, lr=config.learning_rate)
