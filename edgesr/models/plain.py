"""The plain 3x3 convolution stack that ABPN introduced and NCNet widened."""

from itertools import pairwise

from torch import nn

from edgesr.models.blocks import IMAGE_CHANNELS
from edgesr.models.reparameterize import MakeConv, plain
from edgesr.models.training_convs import main_conv

HIDDEN_LAYERS = 5


def plain_body(width: int, out_channels: int, *, conv: MakeConv = plain) -> nn.Sequential:
    """Return five hidden 3x3 layers and two at the output width; ReLU behind all but the last.

    Weights start Xavier-normal with zero bias as in the published training code; the last layer
    starts near zero, so that the untrained network is nearest-neighbour enlargement.

    Source: arXiv 2105.09750, figure 2; arXiv 2208.11609, figure 2.
    """
    widths = [IMAGE_CHANNELS, *[width] * HIDDEN_LAYERS, out_channels]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [_started(conv(before, after, 3)), nn.ReLU()]
    last = _started(conv(out_channels, out_channels, 3))
    nn.init.xavier_normal_(main_conv(last).weight, gain=_LAST_GAIN)
    return nn.Sequential(*layers, last)


_LAST_GAIN = 0.02


def _started(layer: nn.Module) -> nn.Module:
    conv = main_conv(layer)
    nn.init.xavier_normal_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return layer
