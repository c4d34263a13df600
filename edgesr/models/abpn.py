"""ABPN: the anchor-based plain network that NCNet widens.

Source: Du, Liu, Tang, Wu 2021, "Anchor-based Plain Net for Mobile Image Super-Resolution",
arXiv 2105.09750.
"""

from torch import Tensor, nn

from edgesr.models.blocks import RepeatAnchor, clip_levels
from edgesr.models.plain import plain_body
from edgesr.models.reparameterize import MakeConv, plain


class ABPN(nn.Module):
    """Seven 3x3 convolutions that add detail to concatenated copies of the input.

    Args:
        scale: upscaling factor.
        width: channels of the hidden layers; 28 is the published network.
        conv: makes the 3x3 layers.
    """

    def __init__(self, scale: int, *, width: int = 28, conv: MakeConv = plain) -> None:
        super().__init__()
        self.anchor = RepeatAnchor(3, scale)
        self.body = plain_body(width, 3 * scale**2, conv=conv)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        sr: Tensor = self.shuffle(self.body(lr) + self.anchor(lr))
        return sr if self.training else clip_levels(sr)
