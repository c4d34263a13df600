"""Halving, doubling and joining feature maps so that every convolution keeps its channels.

Source: Chen et al. 2024 (BI-DiffSR), arXiv 2406.05723, section 3.2 (consistent-pixel sampling,
channel-shuffle fusion).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.style import BinaryStyle
from edgesr.errors import ConfigError


class ConsistentPixelDown(nn.Module):
    """``(n, c, h, w)`` to ``(n, 2c, h/2, w/2)``: two halves of the channels, summed, unshuffled.

    Args:
        channels: of the input, even.
        style: of the convolutions.

    Raises:
        ConfigError: ``channels`` is odd.
    """

    def __init__(self, channels: int, *, style: BinaryStyle) -> None:
        super().__init__()
        _want_even(channels)
        self.first, self.second = (BinaryConv2d(channels // 2, style=style) for _ in range(2))

    def forward(self, features: Tensor, group: Tensor | None = None) -> Tensor:
        """Map; height and width are even."""
        one, two = features.chunk(2, dim=1)
        added = self.first(one, group) + self.second(two, group)
        return functional.pixel_unshuffle(added, 2)


class ConsistentPixelUp(nn.Module):
    """``(n, c, h, w)`` to ``(n, c/2, 2h, 2w)``: twice the channels, shuffled.

    Args:
        channels: of the input, even.
        style: of the convolutions.

    Raises:
        ConfigError: ``channels`` is odd.
    """

    def __init__(self, channels: int, *, style: BinaryStyle) -> None:
        super().__init__()
        _want_even(channels)
        self.first, self.second = (BinaryConv2d(channels, style=style) for _ in range(2))

    def forward(self, features: Tensor, group: Tensor | None = None) -> Tensor:
        """Map."""
        pair = [self.first(features, group), self.second(features, group)]
        return functional.pixel_shuffle(torch.cat(pair, dim=1), 2)


class ChannelShuffleFusion(nn.Module):
    """Two maps ``(n, c, h, w)`` to one: every second channel of both, convolved 1x1, summed.

    Args:
        channels: of each input, even.
        style: of the convolutions.

    Raises:
        ConfigError: ``channels`` is odd.
    """

    def __init__(self, channels: int, *, style: BinaryStyle) -> None:
        super().__init__()
        _want_even(channels)
        self.first, self.second = (BinaryConv2d(channels, 1, style=style) for _ in range(2))

    def forward(self, features: Tensor, skip: Tensor, group: Tensor | None = None) -> Tensor:
        """Join the decoder's ``features`` with the encoder's ``skip``."""
        one, two = shuffled(features, skip)
        joined: Tensor = self.first(one, group) + self.second(two, group)
        return joined


def shuffled(features: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """Return two mixtures: odd channels of one beside even ones of the other, and vice versa."""
    one = torch.cat([features[:, 1::2], skip[:, 0::2]], dim=1)
    two = torch.cat([features[:, 0::2], skip[:, 1::2]], dim=1)
    return one, two


def _want_even(channels: int) -> None:
    if channels % 2:
        raise ConfigError(f"{channels} channels cannot be halved; want an even number")
