"""SESR: collapsible linear blocks round narrow 3x3 convolutions.

Source: Bhardwaj, Milosavljevic, O'Neil et al. 2021, "Collapsible Linear Blocks for Super-Efficient
Super Resolution", arXiv 2103.09404. ReLU stands for PReLU, as in the paper's hardware networks.
"""

from torch import Tensor, nn

from edgesr.models.blocks import NearestConv, clip_levels
from edgesr.models.reparameterize import MakeConv, plain


class SESR(nn.Module):
    """5x5, a row of 3x3 inside one residual connection, 5x5, and the image added.

    Args:
        scale: upscaling factor.
        width: channels of the features; 16, or 32 in the XL network.
        depth: 3x3 layers; the number in the network's name, 11 in XL.
        conv: makes the layers; ``training_convs.collapsible`` is the form that is trained.
    """

    def __init__(
        self, scale: int, *, width: int = 16, depth: int = 5, conv: MakeConv = plain
    ) -> None:
        super().__init__()
        self.anchor = NearestConv(3, scale)
        self.head = nn.Sequential(conv(3, width, 5), nn.ReLU())
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [conv(width, width, 3), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.tail = conv(width, 3 * scale**2, 5)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        first = self.head(lr)
        sr: Tensor = self.shuffle(self.tail(self.body(first) + first) + self.anchor(lr))
        return sr if self.training else clip_levels(sr)
