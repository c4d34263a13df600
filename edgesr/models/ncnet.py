"""NCNet: a plain convolutional network with a nearest-convolution upsampler.

Source: Luo, Li, Yu et al. 2022, "Fast Nearest Convolution for Real-Time Efficient Image
Super-Resolution", arXiv 2208.11609.
"""

from torch import Tensor, nn

from edgesr.models.blocks import NearestConv, clip_levels
from edgesr.models.plain import plain_body
from edgesr.models.reparameterize import MakeConv, plain


class NCNet(nn.Module):
    """Seven 3x3 convolutions that add detail to a nearest-neighbour enlargement.

    Args:
        scale: upscaling factor.
        width: channels of the hidden layers; 32 is the published network.
        conv: makes the 3x3 layers.
    """

    def __init__(self, scale: int, *, width: int = 32, conv: MakeConv = plain) -> None:
        super().__init__()
        self.anchor = NearestConv(3, scale)
        self.body = plain_body(width, 3 * scale**2, conv=conv)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        sr: Tensor = self.shuffle(self.body(lr) + self.anchor(lr))
        return sr if self.training else clip_levels(sr)
