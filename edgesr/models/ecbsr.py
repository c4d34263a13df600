"""ECBSR: edge-oriented convolution blocks that collapse to plain 3x3 convolutions.

Source: Zhang, Zeng, Zhang 2021, "Edge-oriented Convolution Block for Real-time Super Resolution on
Mobile Devices", ACM Multimedia 2021.
"""

from typing import Literal

from torch import Tensor, nn

from edgesr.models.blocks import NearestConv, clip_levels
from edgesr.models.reparameterize import MakeConv, plain
from edgesr.models.stack import MakeActivation, conv_stack, relu


class ECBSR(nn.Module):
    """A stack of 3x3 convolutions that adds detail to a nearest-neighbour enlargement.

    Args:
        scale: upscaling factor.
        width: channels of the features; the number behind C in the network's name.
        depth: hidden layers; the number behind M.
        activation: ``relu``, or ``prelu`` as published, which has no INT8 form here.
        conv: makes the layers; ``training_convs.edge_oriented`` is the form that is trained.
    """

    def __init__(
        self,
        scale: int,
        *,
        width: int = 16,
        depth: int = 4,
        activation: Literal["relu", "prelu"] = "relu",
        conv: MakeConv = plain,
    ) -> None:
        super().__init__()
        self.anchor = NearestConv(3, scale)
        chosen: MakeActivation = nn.PReLU if activation == "prelu" else relu
        self.body = conv_stack(width, depth, 3 * scale**2, conv=conv, activation=chosen)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        sr: Tensor = self.shuffle(self.body(lr) + self.anchor(lr))
        return sr if self.training else clip_levels(sr)
