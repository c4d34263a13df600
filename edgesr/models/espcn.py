"""ESPCN: the network that introduced the sub-pixel convolution.

Source: Shi, Caballero, Huszar et al. 2016, "Real-Time Single Image and Video Super-Resolution Using
an Efficient Sub-Pixel Convolutional Neural Network", arXiv 1609.05158. RGB in and out, and ReLU for
tanh, which has no INT8 form here.
"""

from torch import Tensor, nn

from edgesr.models.blocks import clip_levels
from edgesr.models.reparameterize import MakeConv, plain

_WIDTHS = (64, 32)


class ESPCN(nn.Module):
    """5x5, 3x3, 3x3 and a pixel shuffle.

    Args:
        scale: upscaling factor.
        conv: makes the layers.
    """

    def __init__(self, scale: int, *, conv: MakeConv = plain) -> None:
        super().__init__()
        first, second = _WIDTHS
        self.body = nn.Sequential(
            conv(3, first, 5),
            nn.ReLU(),
            conv(first, second, 3),
            nn.ReLU(),
            conv(second, 3 * scale**2, 3),
        )
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        sr: Tensor = self.shuffle(self.body(lr))
        return sr if self.training else clip_levels(sr)
