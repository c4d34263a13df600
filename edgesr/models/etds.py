"""ETDS: a dual-stream network that becomes one row of convolutions.

Source: Chao, Zhou, Gao, Gong, Yang, Zeng, Dehbi 2023, "Equivalent Transformation and Dual Stream
Network Construction for Mobile Image Super-Resolution", CVPR 2023.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.models.blocks import IMAGE_CHANNELS, LEVEL_MAX, clip_levels
from edgesr.models.reparameterize import plain
from edgesr.models.stack import add_copies, carry_image, crd_sources

_ALIGNMENT = 4


class ETDS(nn.Module):
    """The deployed form: convolutions and ReLU alone, the clip included.

    The last 3x3 layer makes 255 less the picture, and a 1x1 turns that round; the ReLU behind both
    are the clip. Its channels are rounded up to a multiple of 4 as published; an export drops the
    spare ones.

    Args:
        scale: upscaling factor.
        width: channels of both streams together; the number behind C in the configuration.
        depth: hidden layers; the number behind M.
    """

    order: Tensor

    def __init__(self, scale: int, *, width: int, depth: int) -> None:
        super().__init__()
        out_channels = IMAGE_CHANNELS * scale**2
        padded = -(-out_channels // _ALIGNMENT) * _ALIGNMENT
        widths = [IMAGE_CHANNELS, *[width] * (depth + 1), padded]
        self.layers = nn.ModuleList(plain(before, after, 3) for before, after in pairwise(widths))
        self.clip = nn.Conv2d(padded, padded, 1)
        self.shuffle = nn.PixelShuffle(scale)
        self.register_buffer("order", torch.arange(out_channels), persistent=False)
        carry_image([*self.layers], scale)
        with torch.no_grad():
            last = self.layers[-1]
            last.get_parameter("weight").neg_()
            for conv in (last, self.clip):
                conv.get_parameter("bias").fill_(LEVEL_MAX)
            self.clip.weight.copy_(-torch.eye(padded)[:, :, None, None])

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        features = lr
        for layer in self.layers[:-1]:
            features = functional.relu(layer(features))
        inverse = self.layers[-1](features)
        if self.training:
            sr = self.clip(inverse)
        else:
            sr = functional.relu(self.clip(functional.relu(inverse)))
        shuffled: Tensor = self.shuffle(sr.index_select(1, self.order))
        return shuffled


class DualStream(nn.Module):
    """The form that is trained: deep features beside a residual stream that starts as the image.

    Args:
        scale: upscaling factor.
        width: channels of both streams together.
        depth: hidden layers.
    """

    def __init__(self, scale: int, *, width: int, depth: int) -> None:
        super().__init__()
        self.scale, self.width, self.depth = scale, width, depth
        deep, out_channels = width - IMAGE_CHANNELS, IMAGE_CHANNELS * scale**2
        deep_widths = [IMAGE_CHANNELS, *[deep] * (depth + 1), out_channels]
        self.deep = nn.ModuleList(plain(a, b, 3) for a, b in pairwise(deep_widths))
        self.mix = nn.ModuleList(plain(IMAGE_CHANNELS, deep, 3) for _ in range(depth))
        residual_widths = [*[IMAGE_CHANNELS] * (depth + 2), out_channels]
        self.residual = nn.ModuleList(plain(a, b, 3) for a, b in pairwise(residual_widths))
        self.shuffle = nn.PixelShuffle(scale)
        for conv in (*self.mix, *self.residual):
            nn.init.zeros_(conv.get_parameter("weight"))
            nn.init.zeros_(conv.get_parameter("bias"))
        sources = [tuple(range(IMAGE_CHANNELS))] * (depth + 1) + [crd_sources(scale)]
        for conv, source in zip(self.residual, sources, strict=True):
            add_copies(_conv(conv), source)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        deep = functional.relu(self.deep[0](lr))
        residual = functional.relu(self.residual[0](lr))
        for index, mix in enumerate(self.mix, start=1):
            mixed = functional.relu(self.deep[index](deep) + mix(residual))
            residual = functional.relu(self.residual[index](residual))
            deep = mixed
        sr: Tensor = self.shuffle(self.deep[-1](deep) + self.residual[-1](residual))
        return sr if self.training else clip_levels(sr)

    @torch.no_grad()
    def fold(self) -> ETDS:
        """Return the deployed form: both streams as one, and the clip as convolutions.

        Source: the paper's section 3.2, equivalent transformation.
        """
        folded = ETDS(self.scale, width=self.width, depth=self.depth).to(_conv(self.deep[0]).weight)
        split = self.width - IMAGE_CHANNELS
        for index, target in enumerate(map(_conv, folded.layers[:-1])):
            deep, residual = _conv(self.deep[index]), _conv(self.residual[index])
            target.weight.zero_()
            target.weight[:split, : deep.in_channels] = deep.weight
            target.weight[split:, -residual.in_channels :] = residual.weight
            target.get_parameter("bias").copy_(
                torch.cat([deep.get_parameter("bias"), residual.get_parameter("bias")])
            )
            if index:
                mix = _conv(self.mix[index - 1])
                target.weight[:split, split:] = mix.weight
                target.get_parameter("bias")[:split] += mix.get_parameter("bias")
        last = _conv(folded.layers[-1])
        deep, residual = _conv(self.deep[-1]), _conv(self.residual[-1])
        count = deep.out_channels
        last.weight.zero_()
        last.weight[:count] = -torch.cat([deep.weight, residual.weight], dim=1)
        total = deep.get_parameter("bias") + residual.get_parameter("bias")
        last.get_parameter("bias")[:count] = LEVEL_MAX - total
        return folded


def _conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)  # noqa: S101 - __init__ made it
    return layer
