"""Learning-rate schedules as pure functions of the step number."""

import math
from collections.abc import Sequence

import torch

from edgesr.train.config import TrainConfig


def learning_rate_at(config: TrainConfig, step: int) -> float:
    """Return the learning rate of ``step`` (from 0) as the configuration asks for."""
    if config.schedule == "step":
        rate = step_rate(step, milestones=config.milestones, rates=config.rates)
    else:
        rate = cosine_rate(
            step,
            steps=config.steps,
            peak=config.learning_rate,
            floor=config.min_learning_rate,
        )
    return rate * warmup_factor(step, config.warmup_steps)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of ``optimizer`` its factor times ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def step_rate(step: int, *, milestones: Sequence[int], rates: Sequence[float]) -> float:
    """Return ``rates[i]`` where ``i`` milestones lie at or before ``step`` (from 0)."""
    return rates[sum(step >= milestone for milestone in milestones)]


def cosine_rate(step: int, *, steps: int, peak: float, floor: float) -> float:
    """Fall from ``peak`` at step 0 to ``floor`` at the last step along half a cosine.

    Source: Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5, one cycle.
    """
    progress = min(step / max(steps - 1, 1), 1.0)
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * progress))  # eq. 5


def warmup_factor(step: int, warmup_steps: int) -> float:
    """Rise from ``1 / warmup_steps`` to 1 over the first ``warmup_steps`` steps."""
    return min((step + 1) / warmup_steps, 1.0) if warmup_steps else 1.0
