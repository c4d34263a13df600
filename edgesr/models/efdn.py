"""EFDN: edge-enhanced feature distillation, the baseline of the NTIRE 2025 challenge.

Source: Wang 2022, "Edge-enhanced Feature Distillation Network for Efficient Super-Resolution",
arXiv 2204.08759. With plain convolutions this is the deployed form; with
``training_convs.edge_enhanced`` it is the one that is trained.
"""

import torch
from torch import Tensor, nn

from edgesr.models.esa import SpatialAttention
from edgesr.models.reparameterize import MakeConv, plain


class EFDN(nn.Module):
    """Four distillation cells, fused pairwise.

    Args:
        scale: upscaling factor.
        width: channels of the features.
        conv: makes the 3x3 layers of the cells.
    """

    def __init__(self, scale: int, *, width: int = 48, conv: MakeConv = plain) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.cells = nn.ModuleList(_Cell(width, conv) for _ in range(4))
        self.fuse = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in range(3))
        self.up = nn.Sequential(
            nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        head = self.head(lr)
        first = self.cells[0](head)
        second = self.cells[1](first)
        third = self.cells[2](self.fuse[0](torch.cat([first, second], dim=1)))
        fourth = self.cells[3](self.fuse[1](torch.cat([second, third], dim=1)))
        fused = self.fuse[2](torch.cat([second, fourth], dim=1))
        sr: Tensor = self.up(fused + head)
        return sr


class _Cell(nn.Module):
    """A 1x1 and two 3x3 convolutions, distilled at four depths, and attention."""

    def __init__(self, width: int, conv: MakeConv) -> None:
        super().__init__()
        layers = (plain(width, width, 1), conv(width, width, 3), conv(width, width, 3))
        self.steps = nn.ModuleList(nn.Sequential(layer, nn.PReLU(width)) for layer in layers)
        self.distil = nn.ModuleList(nn.Conv2d(width, width // 2, 1) for _ in range(4))
        self.fuse = nn.Conv2d(2 * width, width, 1)
        self.attention = SpatialAttention(width, width // 4)

    def forward(self, features: Tensor) -> Tensor:
        depths = [features]
        for step in self.steps:
            depths.append(step(depths[-1]))
        kept = [distil(depth) for distil, depth in zip(self.distil, depths, strict=True)]
        attended: Tensor = self.attention(self.fuse(torch.cat(kept, dim=1)))
        return attended + features
