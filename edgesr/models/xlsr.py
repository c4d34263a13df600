"""XLSR: grouped convolutions between 1x1 ones, and a clip that quantization needs.

Source: Ayazoglu 2021, "Extremely Lightweight Quantization Robust Real-Time Single-Image Super
Resolution for Mobile Devices", arXiv 2105.10288, figure 2.
"""

import math

import torch
from torch import Tensor, nn

from edgesr.models.blocks import clip_levels

_WIDTH = 32
_SKIP_WIDTH = 16
_GROUPS = 4
_BLOCKS = 3
_SPREAD = 0.2


class XLSR(nn.Module):
    """Three grouped blocks, joined with a shallow look at the image.

    Args:
        scale: upscaling factor.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, _WIDTH, 3, padding=1), nn.ReLU())
        layers: list[nn.Module] = [nn.Conv2d(_WIDTH, _WIDTH, 1)]
        for _ in range(_BLOCKS):
            layers += [
                nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, groups=_GROUPS),
                nn.ReLU(),
                nn.Conv2d(_WIDTH, _WIDTH, 1),
            ]
        self.body = nn.Sequential(*layers)
        self.skip = nn.Conv2d(3, _SKIP_WIDTH, 3, padding=1)
        self.join = nn.Sequential(nn.Conv2d(_WIDTH + _SKIP_WIDTH, _WIDTH, 1), nn.ReLU())
        self.tail = nn.Conv2d(_WIDTH, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                fan_out = part.out_channels * math.prod(part.kernel_size)
                nn.init.normal_(part.weight, std=math.sqrt(_SPREAD / fan_out))
                nn.init.zeros_(part.get_parameter("bias"))

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        deep = self.body(self.head(lr))
        sr: Tensor = self.shuffle(self.tail(self.join(torch.cat([deep, self.skip(lr)], dim=1))))
        return sr if self.training else clip_levels(sr)
