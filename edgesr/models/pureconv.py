"""PureConv: convolutions and nothing else; the image rides along in three of the channels.

Source: the third of the Mobile AI 2022 challenge (team ECNUSR), arXiv 2211.05910, whose graph ends
in a 1x1 convolution that clips; INT8 saturation does that here. The published networks' first
number is ``depth``, the second ``width``.
"""

from torch import Tensor, nn

from edgesr.models.blocks import clip_levels
from edgesr.models.reparameterize import MakeConv, plain
from edgesr.models.stack import carry_image, conv_stack


class PureConv(nn.Module):
    """A stack of 3x3 convolutions that starts as nearest-neighbour enlargement.

    Args:
        scale: upscaling factor.
        width: channels of the features, three of which start as the image.
        depth: hidden layers between the first and the last.
        conv: makes the layers.
    """

    def __init__(
        self, scale: int, *, width: int = 32, depth: int = 3, conv: MakeConv = plain
    ) -> None:
        super().__init__()
        self.body = conv_stack(width, depth, 3 * scale**2, conv=conv)
        self.shuffle = nn.PixelShuffle(scale)
        carry_image([layer for layer in self.body if not isinstance(layer, nn.ReLU)], scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        sr: Tensor = self.shuffle(self.body(lr))
        return sr if self.training else clip_levels(sr)
