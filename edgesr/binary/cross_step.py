"""Features of the last sampler step mixed into those of this one.

Source: Zheng et al. 2024 (BiDM), arXiv 2412.05926, section 3.2 (cross-timestep feature connection).
"""

import torch
from torch import Tensor, nn

from edgesr.errors import DataError

_BINS = 100
_FIRST_SHARE = 0.3


class CrossStep(nn.Module):
    """``(1 - a) U_t + a U_previous``, with a learned share for each part of the timesteps.

    Args:
        steps: number of timesteps ``T``.
        bins: how many parts have a share of their own.
        share: at the start; published: 0.3, on CIFAR-10 0.
    """

    def __init__(self, steps: int, *, bins: int = _BINS, share: float = _FIRST_SHARE) -> None:
        super().__init__()
        self.steps = steps
        self.share = nn.Parameter(torch.full((min(bins, steps),), share))

    def forward(self, features: Tensor, previous: Tensor | None, timestep: Tensor) -> Tensor:
        """Mix.

        Args:
            features: ``(n, c, h, w)`` of this step.
            previous: of the last, noisier step; None at the first, which changes nothing. It gets
                no gradient.
            timestep: int64 ``(n,)``, of this step.

        Raises:
            DataError: the last step was of another size, or a timestep is outside.
        """
        if previous is None:
            return features
        if previous.shape != features.shape:
            raise DataError(
                f"features of the last step are {tuple(previous.shape)}, those of this one "
                f"{tuple(features.shape)}; start a new image with previous=None"
            )
        low, high = int(timestep.min()), int(timestep.max())
        if low < 0 or high >= self.steps:
            raise DataError(f"timestep {low if low < 0 else high}: want 0 to {self.steps - 1}")
        share = self.share[timestep * len(self.share) // self.steps][:, None, None, None]
        return (1.0 - share) * features + share * previous.detach()
