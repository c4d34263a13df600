"""BSRN-S: blueprint separable convolutions, winner of NTIRE 2022 (complexity).

Source: Li, Liu, Chen et al. 2022, "Blueprint Separable Residual Network for Efficient Image
Super-Resolution", arXiv 2205.05996; the smaller network of the challenge, whose pointwise
convolutions are linear layers on channels-last features.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_COPIES = 4
_POOL_WINDOW = 7
_POOL_STRIDE = 3


class BSRN(nn.Module):
    """Distillation blocks of separable convolutions whose outputs are all fused.

    Args:
        scale: upscaling factor.
        width: channels of the features.
        num_blocks: distillation blocks.
    """

    def __init__(self, scale: int, *, width: int = 48, num_blocks: int = 5) -> None:
        super().__init__()
        self.head = _Separable(3 * _COPIES, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.fuse = _Pointwise(width * num_blocks, width)
        self.tail = _Separable(width, width)
        self.up = nn.Sequential(
            nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        head = self.head(torch.cat([lr] * _COPIES, dim=1))
        features, outputs = head, []
        for block in self.blocks:
            features = block(features)
            outputs.append(features)
        fused = functional.gelu(self.fuse(torch.cat(outputs, dim=1)))
        sr: Tensor = self.up(self.tail(fused) + head)
        return sr


class _Block(nn.Module):
    """Three separable residual steps, each distilled, then attention and a learned gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.distil = nn.ModuleList(_Pointwise(width, half) for _ in range(3))
        self.refine = nn.ModuleList(_Separable(width, width) for _ in range(3))
        self.last = _Separable(width, half)
        self.fuse = _Pointwise(4 * half, width)
        self.attention = _Attention(width, width // 4)
        self.gain = nn.Parameter(torch.ones(width, 1, 1))
        self.mix = _Pointwise(width, width)

    def forward(self, features: Tensor) -> Tensor:
        kept, rest = [], features
        for distil, refine in zip(self.distil, self.refine, strict=True):
            kept.append(functional.gelu(distil(rest)))
            rest = functional.gelu(refine(rest) + rest)
        kept.append(functional.gelu(self.last(rest)))
        attended = self.attention(self.fuse(torch.cat(kept, dim=1)))
        mixed: Tensor = self.mix(attended * self.gain)
        return mixed + features


class _Attention(nn.Module):
    """Enhanced spatial attention with separable and pointwise layers."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reduce = _Pointwise(channels, width)
        self.skip = _Pointwise(width, width)
        self.shrink = nn.Conv2d(width, width, 3, stride=2)
        self.coarse = nn.ModuleList(_Separable(width, width) for _ in range(2))
        self.last = _Separable(width, width)
        self.expand = _Pointwise(width, channels)

    def forward(self, features: Tensor) -> Tensor:
        reduced = self.reduce(features)
        coarse = functional.max_pool2d(self.shrink(reduced), _POOL_WINDOW, _POOL_STRIDE)
        for convolution in self.coarse:
            coarse = functional.gelu(convolution(coarse))
        size = (features.shape[2], features.shape[3])
        spread = functional.interpolate(self.last(coarse), size, mode="bilinear")
        weights: Tensor = self.expand(spread + self.skip(reduced)).sigmoid()
        return features * weights


class _Separable(nn.Module):
    """A pointwise layer and then a 3x3 convolution of every channel with its own kernel."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.pointwise = _Pointwise(before, after)
        self.depthwise = nn.Conv2d(after, after, 3, padding=1, groups=after)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.depthwise(self.pointwise(features))
        return result


class _Pointwise(nn.Module):
    """A linear layer along the channels of ``(n, c, h, w)``."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.linear(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return result
