"""The edge family: edgesr's own networks, sized by measured INT8 time.

Plain 3x3 convolutions of one width, a multiple of 16, and a nearest-neighbour anchor that is exact
in INT8; the ADD saturates, so that nothing runs at the enlarged size but the shuffle. How widths
and depths were chosen stands in ``docs/decisions/0014-the-edge-family.md``.
"""

from torch import Tensor, nn

from edgesr.models.blocks import NearestConv, clip_levels
from edgesr.models.reparameterize import MakeConv, plain
from edgesr.models.stack import conv_stack
from edgesr.models.training_convs import main_conv

_LAST_GAIN = 0.02


class EdgeNet(nn.Module):
    """A stack of 3x3 convolutions that adds detail to a nearest-neighbour enlargement.

    Args:
        scale: upscaling factor.
        width: channels of the features.
        depth: hidden layers between the first and the last.
        conv: makes the layers; ``training_convs.widened`` is the form that is trained.
    """

    def __init__(self, scale: int, *, width: int, depth: int, conv: MakeConv = plain) -> None:
        super().__init__()
        self.anchor = NearestConv(3, scale)
        self.body = conv_stack(width, depth, 3 * scale**2, conv=conv)
        self.shuffle = nn.PixelShuffle(scale)
        for layer in self.body:
            if not isinstance(layer, nn.ReLU):
                conv_of_layer = main_conv(layer)
                nn.init.xavier_normal_(conv_of_layer.weight)
                nn.init.zeros_(conv_of_layer.get_parameter("bias"))
        nn.init.xavier_normal_(main_conv(self.body[-1]).weight, gain=_LAST_GAIN)

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].

        The result is clipped in evaluation mode only, so that training sees every gradient.
        """
        sr: Tensor = self.shuffle(self.body(lr) + self.anchor(lr))
        return sr if self.training else clip_levels(sr)
