"""SPAN: attention without parameters, winner of NTIRE 2024 and baseline of NTIRE 2026.

Source: Wan, Yu, Li et al. 2023, "Swift Parameter-free Attention Network for Efficient
Super-Resolution", arXiv 2311.12770. This is the deployed form: every re-parameterised block is the
one 3x3 convolution that it collapses to.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SPAN(nn.Module):
    """Six blocks that weigh features by an odd function of themselves.

    Args:
        scale: upscaling factor.
        width: channels of the features; 28 in the challenge, 48 in the paper.
    """

    def __init__(self, scale: int, *, width: int = 28) -> None:
        super().__init__()
        self.head = _conv(3, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(6))
        self.tail = _conv(width, width)
        self.fuse = nn.Conv2d(4 * width, width, 1)
        self.up = nn.Sequential(_conv(width, 3 * scale**2), nn.PixelShuffle(scale))

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

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(width, width) for _ in range(3))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        first = self.convs[0](features)
        last = self.convs[2](functional.silu(self.convs[1](functional.silu(first))))
        return (last + features) * (last.sigmoid() - 0.5), first


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)
