"""IMDN: information multi-distillation, the baseline of the NTIRE 2022 challenge.

Source: Hui, Gao, Yang, Wang 2019, "Lightweight Image Super-Resolution with Information
Multi-distillation Network", arXiv 1909.11856; the challenge's baseline has 8 blocks and no
channel attention.
"""

import torch
from torch import Tensor, nn

_SLOPE = 0.05


class IMDN(nn.Module):
    """Distillation blocks in a row inside one residual connection.

    Args:
        scale: upscaling factor.
        width: channels of the features.
        num_blocks: distillation blocks.
    """

    def __init__(self, scale: int, *, width: int = 64, num_blocks: int = 8) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(num_blocks)))
        self.tail = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.Sequential(
            nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        features = self.head(lr)
        sr: Tensor = self.up(features + self.tail(self.blocks(features)))
        return sr


class _Block(nn.Module):
    """Keep a quarter of the channels at each of three steps and refine the rest."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kept = width // 4
        self.passed = width - self.kept
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(_SLOPE))
            for before in (width, self.passed, self.passed)
        )
        self.last = nn.Conv2d(self.passed, self.kept, 3, padding=1)
        self.fuse = nn.Conv2d(4 * self.kept, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        kept, rest = [], features
        for step in self.steps:
            distilled, rest = torch.split(step(rest), [self.kept, self.passed], dim=1)
            kept.append(distilled)
        fused: Tensor = self.fuse(torch.cat([*kept, self.last(rest)], dim=1))
        return features + fused
