"""Pieces that several networks share: nearest-neighbour anchors and channel order."""

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_CHANNELS = 3
"""RGB."""

LEVEL_MAX = 255.0
"""Largest grey level: networks read and write RGB in [0, 255]."""


class NearestConv(nn.Module):
    """Nearest-neighbour upsampling written as a frozen 1x1 convolution before a pixel shuffle.

    The weight copies every input channel ``scale**2`` times in torch's CRD order, so that
    ``pixel_shuffle(NearestConv(c, s)(x), s)`` equals nearest-neighbour enlargement exactly.

    Source: Luo et al. 2022, arXiv 2208.11609, section 3.2.
    """

    weight: Tensor

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.copies = scale**2
        weight = torch.eye(channels).repeat_interleave(scale**2, dim=0)
        self.register_buffer("weight", weight.reshape(channels * scale**2, channels, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(n, c, h, w)`` to ``(n, c * scale**2, h, w)``.

        Training copies the channels instead: the same values, cheaper, and out of the reach of
        autocast, whose bfloat16 has no fractions left at grey levels above 128.
        """
        if self.training:
            return image.repeat_interleave(self.copies, dim=1)
        return functional.conv2d(image, self.weight)


class RepeatAnchor(nn.Module):
    """Nearest-neighbour anchor as the concatenation of ``scale**2`` copies of the image.

    The concatenation is in TFLite's DEPTH_TO_SPACE order (DCR); the gather behind it brings the
    channels into torch's order (CRD) for a pixel shuffle and disappears when exported.

    Source: Du et al. 2021, arXiv 2105.09750, section 3.3.
    """

    order: Tensor

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.copies = scale**2
        self.register_buffer("order", crd_from_dcr(channels, scale), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(n, c, h, w)`` to ``(n, c * scale**2, h, w)``."""
        return torch.cat([image] * self.copies, dim=1).index_select(1, self.order)


def crd_from_dcr(channels: int, scale: int) -> Tensor:
    """Return for every CRD channel ``c * s**2 + k`` the DCR channel ``k * channels + c``."""
    order = torch.arange(channels * scale**2).reshape(scale**2, channels)
    return order.T.reshape(-1).contiguous()


def clip_levels(image: Tensor) -> Tensor:
    """Clip to the range of grey levels [0, 255]."""
    return image.clamp(0.0, LEVEL_MAX)
