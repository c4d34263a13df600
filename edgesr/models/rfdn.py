"""RFDN: residual feature distillation, the baseline of the NTIRE 2023 challenge.

Source: Liu, Tang, Wu 2020, "Residual Feature Distillation Network for Lightweight Image
Super-Resolution", arXiv 2009.11551.
"""

import torch
from torch import Tensor, nn

from edgesr.models.esa import SpatialAttention

_SLOPE = 0.05


class RFDN(nn.Module):
    """Distillation blocks whose outputs are all fused before the upsampler.

    Args:
        scale: upscaling factor.
        width: channels of the features; 50 is the published and the challenge's network.
        num_blocks: distillation blocks.
    """

    def __init__(self, scale: int, *, width: int = 50, num_blocks: int = 4) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.fuse = nn.Sequential(nn.Conv2d(width * num_blocks, width, 1), nn.LeakyReLU(_SLOPE))
        self.tail = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.Sequential(
            nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        head = self.head(lr)
        features, outputs = head, []
        for block in self.blocks:
            features = block(features)
            outputs.append(features)
        fused = self.fuse(torch.cat(outputs, dim=1))
        sr: Tensor = self.up(self.tail(fused) + head)
        return sr


class _Block(nn.Module):
    """Three shallow residual steps, each with a 1x1 distillation beside it, and attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.distil = nn.ModuleList(nn.Conv2d(width, half, 1) for _ in range(3))
        self.refine = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.last = nn.Conv2d(width, half, 3, padding=1)
        self.act = nn.LeakyReLU(_SLOPE)
        self.fuse = nn.Conv2d(4 * half, width, 1)
        self.attention = SpatialAttention(width, width // 4)

    def forward(self, features: Tensor) -> Tensor:
        kept, rest = [], features
        for distil, refine in zip(self.distil, self.refine, strict=True):
            kept.append(self.act(distil(rest)))
            rest = self.act(refine(rest) + rest)
        kept.append(self.act(self.last(rest)))
        attended: Tensor = self.attention(self.fuse(torch.cat(kept, dim=1)))
        return attended
