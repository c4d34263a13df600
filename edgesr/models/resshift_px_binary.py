"""``resshift_px`` with blocks of one bit; ends, halvings and doublings stay float.

Blocks are BI-DiffSR's convolution twice, each with its own identity, and the timestep enters by
shifts and activations of its group alone.

Source: Chen et al. 2024 (BI-DiffSR), arXiv 2406.05723, section 3.3, on edgesr's own network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgesr.binary.conv import BinaryConv2d, group_of
from edgesr.binary.style import BinaryStyle
from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser import Denoiser
from edgesr.models.resshift_px import ResShiftPxCore

STYLE = BinaryStyle(groups=16, steps=16)
"""A group for each state of a path of up to 15, which are told as 1 to 15."""


def resshift_px_binary(
    scale: int, *, widths: Sequence[int], blocks: int, style: BinaryStyle = STYLE
) -> Denoiser:
    """Build a denoiser that predicts the residual.

    Args:
        scale: upscaling factor.
        widths: channels of each level; the next level has half the height and width.
        blocks: residual blocks of each level on the way down, and again on the way up.
        style: of the binary convolutions.
    """
    conditioning = Conditioning(scale, grid="lr", multiple=2 ** (len(widths) - 1))
    core = ResShiftPxCore(
        conditioning.channels,
        scale,
        widths=widths,
        blocks=blocks,
        make_block=lambda width: BinaryBlock(width, style=style),
    )
    return Denoiser(
        time=GroupOfTime(style), core=core, conditioning=conditioning, prediction="residual"
    )


class GroupOfTime(nn.Module):
    """An embedding that is the timestep's group and nothing else.

    Args:
        style: says how timesteps fall into groups.
    """

    def __init__(self, style: BinaryStyle) -> None:
        super().__init__()
        self.style, self.length = style, 1

    def forward(self, timestep: Tensor) -> Tensor:
        """Map int64 ``(n,)`` to float32 ``(n, 1)``."""
        return group_of(timestep.long(), self.style).float()[:, None]


class BinaryBlock(nn.Module):
    """Two binary convolutions, each added to its input.

    Args:
        width: channels.
        style: of the convolutions.
    """

    group: Tensor | None

    def __init__(self, width: int, *, style: BinaryStyle) -> None:
        super().__init__()
        self.first, self.second = (BinaryConv2d(width, style=style) for _ in range(2))
        self.register_buffer("group", None, persistent=False)

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        """Map ``(n, width, h, w)`` to the same shape; the embedding is the group."""
        group = self.group if embedding is None else embedding[:, -1].long()
        assert group is not None  # noqa: S101 - without embedding a group was folded in
        group = group.expand(len(features))
        made: Tensor = self.second(self.first(features, group), group)
        return made

    @torch.no_grad()
    def fold_time(self, embedding: Tensor) -> None:
        """Work in the group of the embedding ``(1, 1)`` from now on."""
        self.group = embedding[:, -1].long()
