"""SPAN: attention without parameters, winner of NTIRE 2024 and baseline of NTIRE 2026.

Source: Wan, Yu, Li et al. 2023, "Swift Parameter-free Attention Network for Efficient
Super-Resolution", arXiv 2311.12770. With plain convolutions this is the deployed form; with
``training_convs.sandwich`` it is the one that is trained.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.models.reparameterize import MakeConv, plain


class SPAN(nn.Module):
    """Six blocks that weigh features by an odd function of themselves.

    Args:
        scale: upscaling factor.
        width: channels of the features; 28 in the challenge, 48 in the paper.
        conv: makes the 3x3 layers before the fusion.
    """

    def __init__(self, scale: int, *, width: int = 28, conv: MakeConv = plain) -> None:
        super().__init__()
        self.head = conv(3, width, 3)
        self.blocks = nn.ModuleList(_Block(width, conv) for _ in range(6))
        self.tail = conv(width, width, 3)
        self.fuse = nn.Conv2d(4 * width, width, 1)
        self.up = nn.Sequential(plain(width, 3 * scale**2, 3), nn.PixelShuffle(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        head = self.head(lr)
        features, outputs, entries = head, [], []
        for block in self.blocks:
            features, entry = block(features)
            outputs.append(features)
            entries.append(entry)
        chosen = [head, self.tail(features), outputs[0], entries[-1]]
        sr: Tensor = self.up(self.fuse(torch.cat(chosen, dim=1)))
        return sr


class _Block(nn.Module):
    """Three 3x3 convolutions; also returns what the first of them made."""

    def __init__(self, width: int, conv: MakeConv) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(width, width, 3) for _ in range(3))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        first = self.convs[0](features)
        last = self.convs[2](functional.silu(self.convs[1](functional.silu(first))))
        return (last + features) * (last.sigmoid() - 0.5), first
