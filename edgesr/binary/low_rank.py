"""A thin float branch beside a convolution of one bit.

Source: Liu et al. 2025 (BiMaCoSR), arXiv 2502.00333: a 1x1 branch of low rank that starts as the
best approximation of the weight and is taken out of it before signs are taken.
"""

import torch
from torch import Tensor, nn

from edgesr.errors import ConfigError


class LowRankBranch(nn.Module):
    """Two 1x1 convolutions with few channels between them.

    Args:
        channels: in and out.
        rank: channels between, from 1 to ``channels``.

    Raises:
        ConfigError: ``rank`` is outside.
    """

    def __init__(self, channels: int, *, rank: int = 8) -> None:
        super().__init__()
        if not 1 <= rank <= channels:
            raise ConfigError(f"rank = {rank}: want 1 to {channels}, the channels")
        self.rank = rank
        self.narrow = nn.Conv2d(channels, rank, 1, bias=False)
        self.widen = nn.Conv2d(rank, channels, 1, bias=False)
        nn.init.zeros_(self.widen.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, c, h, w)`` to the same shape."""
        made: Tensor = self.widen(self.narrow(features))
        return made

    @torch.no_grad()
    def take_from(self, weight: Tensor) -> Tensor:
        """Become the best approximation of ``weight``'s middle tap; return what is left.

        Args:
            weight: ``(c, c, k, k)`` of the convolution that stands beside the branch.
        """
        middle = weight.shape[2] // 2
        left, sizes, right = torch.linalg.svd(weight[:, :, middle, middle], full_matrices=False)
        root = sizes[: self.rank].sqrt()
        self.widen.weight.copy_((left[:, : self.rank] * root)[:, :, None, None])
        self.narrow.weight.copy_((root[:, None] * right[: self.rank])[:, :, None, None])
        rest = weight.clone()
        rest[:, :, middle, middle] -= self.widen.weight.flatten(1) @ self.narrow.weight.flatten(1)
        return rest
