"""``resshift_px`` with blocks of one bit; ends, halvings and doublings stay float.

Blocks are BI-DiffSR's convolution twice, each with its own identity, and the timestep enters by
shifts and activations of its group alone. Other styles keep the block whole: without groups the
timestep is added between the convolutions, as in BI-DiffSR's blocks, and convolutions without an
identity have that of the float network's block, one around both.

Source: Chen et al. 2024 (BI-DiffSR), arXiv 2406.05723, section 3.3, on edgesr's own network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgesr.binary.conv import BinaryConv2d, group_of
from edgesr.binary.style import BinaryStyle
from edgesr.models.bidiffsr import GroupedTime
from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser import Denoiser
from edgesr.models.resshift_px import EMBEDDING, ResShiftPxCore
from edgesr.models.time_embedding import FiLM

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
    time = (
        GroupOfTime(style)
        if style.groups > 1
        else GroupedTime(style, code=EMBEDDING, hidden=EMBEDDING, width=EMBEDDING)
    )
    return Denoiser(time=time, core=core, conditioning=conditioning, prediction="residual")


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
    """Two binary convolutions and their sums, see the module.

    Args:
        width: channels.
        style: of the convolutions.
    """

    told: Tensor | None

    def __init__(self, width: int, *, style: BinaryStyle) -> None:
        super().__init__()
        self.first, self.second = (BinaryConv2d(width, style=style) for _ in range(2))
        self.film = FiLM(EMBEDDING, width, gain=False) if style.groups == 1 else None
        self.sums = not style.identity
        self.register_buffer("told", None, persistent=False)

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        """Map ``(n, width, h, w)`` to the same shape; the embedding ends with the group."""
        told = self.told if embedding is None else embedding
        assert told is not None  # noqa: S101 - without embedding one was folded in
        told = told.expand(len(features), -1)
        group = told[:, -1].long()
        made: Tensor = self.first(features, group)
        if self.film is not None:
            made = self.film(made, told[:, :-1])
        made = self.second(made, group)
        return made + features if self.sums else made

    @torch.no_grad()
    def fold_time(self, embedding: Tensor) -> None:
        """Work at one timestep from now on, that of the embedding ``(1, e)``."""
        self.told = embedding.detach()
