"""QuickSRNet: plain 3x3 convolutions that start as the identity, clipped behind every layer.

Source: Berger, Mohr, Ehmann et al. 2023, "QuickSRNet: Plain Single-Image Super-Resolution
Architecture for Faster Inference on Mobile Platforms", arXiv 2303.04336.
"""

import torch
from torch import Tensor, nn

from edgesr.models.blocks import LEVEL_MAX, clip_levels
from edgesr.models.reparameterize import MakeConv, plain
from edgesr.models.stack import add_copies, conv_stack, crd_sources
from edgesr.models.training_convs import main_conv

_CEILING = 6.0


class QuickSRNet(nn.Module):
    """A stack of 3x3 convolutions between clips.

    The published clip to [0, 1] is a ReLU6 here, which every kernel family has: features are in
    units of a sixth of the grey range. The first and the last convolution absorb the factors when
    exported.

    Args:
        scale: upscaling factor.
        width: channels of the features.
        depth: hidden layers between the first and the last.
        anchor: add a 1x1 convolution of the image, which starts as nearest-neighbour enlargement.
        conv: makes the 3x3 layers.
    """

    def __init__(
        self,
        scale: int,
        *,
        width: int = 32,
        depth: int = 2,
        anchor: bool = False,
        conv: MakeConv = plain,
    ) -> None:
        super().__init__()
        out_channels = 3 * scale**2
        self.body = conv_stack(
            width, depth, out_channels, conv=conv, activation=lambda _: nn.ReLU6()
        )
        self.anchor = nn.Conv2d(3, out_channels, 1) if anchor else None
        self.shuffle = nn.PixelShuffle(scale)
        self._start(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        sr = self.body(lr * (_CEILING / LEVEL_MAX)) * (LEVEL_MAX / _CEILING)
        if self.anchor is not None:
            sr = sr + self.anchor(lr)
        sr = self.shuffle(sr)
        return sr if self.training else clip_levels(sr)

    @torch.no_grad()
    def _start(self, scale: int) -> None:
        """Add the identity to every layer; the sum starts as nearest-neighbour enlargement."""
        *hidden, last = (main_conv(layer) for layer in self.body if _has_weight(layer))
        for conv in (*hidden, last):
            nn.init.xavier_normal_(conv.weight, gain=_GAIN)
            nn.init.zeros_(conv.get_parameter("bias"))
        for conv in hidden:
            add_copies(conv, tuple(range(conv.in_channels)))
        if self.anchor is None:
            add_copies(last, crd_sources(scale))
        else:
            nn.init.zeros_(self.anchor.weight)
            nn.init.zeros_(self.anchor.get_parameter("bias"))
            add_copies(self.anchor, crd_sources(scale))


_GAIN = 0.1


def _has_weight(layer: nn.Module) -> bool:
    return any(True for _ in layer.parameters())
