"""The stack of 3x3 convolutions that ECBSR, PureConv, QuickSRNet and the edge family share."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from edgesr.models.blocks import IMAGE_CHANNELS
from edgesr.models.reparameterize import MakeConv, plain
from edgesr.models.training_convs import main_conv

MakeActivation = Callable[[int], nn.Module]
"""Channels to an activation."""


def relu(_: int) -> nn.Module:
    """Return a ReLU."""
    return nn.ReLU()


def conv_stack(
    width: int,
    depth: int,
    out_channels: int,
    *,
    conv: MakeConv = plain,
    activation: MakeActivation = relu,
) -> nn.Sequential:
    """Return a 3x3 layer to ``width``, ``depth`` at it, and one to ``out_channels``.

    An activation stands behind all but the last; the receptive field is ``2 * depth + 5``.
    """
    widths = [IMAGE_CHANNELS, *[width] * (depth + 1)]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [conv(before, after, 3), activation(after)]
    return nn.Sequential(*layers, conv(width, out_channels, 3))


@torch.no_grad()
def carry_image(layers: list[nn.Module], scale: int) -> None:
    """Make a stack of convolutions with ReLU start as nearest-neighbour enlargement.

    The first three channels of every layer are copies of the image, which a ReLU lets pass, and the
    last layer copies them ``scale**2`` times in torch's CRD order, beside a small residual.

    Args:
        layers: the convolutions in order; plain or widened.
        scale: upscaling factor.
    """
    *hidden, last = (main_conv(layer) for layer in layers)
    for conv in hidden:
        conv.weight[:IMAGE_CHANNELS] = 0.0
        add_copies(conv, tuple(range(IMAGE_CHANNELS)))
        conv.get_parameter("bias")[:IMAGE_CHANNELS] = 0.0
    last.weight *= _RESIDUAL_GAIN
    last.get_parameter("bias").zero_()
    last.weight[:, :IMAGE_CHANNELS] = 0.0
    add_copies(last, crd_sources(scale))


@torch.no_grad()
def add_copies(conv: nn.Conv2d, sources: tuple[int, ...]) -> None:
    """Add to output ``i`` of a convolution its input channel ``sources[i]``."""
    middle = conv.kernel_size[0] // 2
    for after, source in enumerate(sources):
        conv.weight[after, source, middle, middle] += 1.0


def crd_sources(scale: int) -> tuple[int, ...]:
    """Return for every channel before a pixel shuffle the image channel that it shows."""
    return tuple(channel for channel in range(IMAGE_CHANNELS) for _ in range(scale**2))


_RESIDUAL_GAIN = 0.02
