"""BI-DiffSR's UNet: almost every convolution has one bit, and none changes its channels.

The published network keeps the two finest levels of its decoder and the attention in its middle in
float, which is where nearly all of its operations are; ``float_levels=()`` and ``attention=False``
make one that is binary but for its ends.

Source: Chen et al. 2024, "Binarized Diffusion Model for Image Super-Resolution", arXiv 2406.05723;
layers that the paper leaves open are those of the authors' code.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.binary.conv import BinaryConv2d, group_of
from edgesr.binary.resample import (
    ChannelShuffleFusion,
    ConsistentPixelDown,
    ConsistentPixelUp,
    shuffled,
)
from edgesr.binary.style import BinaryStyle, find_style
from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser import Denoiser
from edgesr.models.self_attention import SelfAttention
from edgesr.models.time_embedding import TimeEmbedding

_RGB = 3
PUBLISHED_STYLE = replace(find_style("bidiffsr"), padding="zero", zero=0)
"""As in the authors' code: nothing outside the image, and zeros keep the sign 0."""


def bidiffsr(  # noqa: PLR0913 - the parameters of the paper's table
    scale: int,
    *,
    width: int = 64,
    multipliers: Sequence[int] = (1, 2, 4, 8),
    blocks: int = 2,
    norm_groups: int = 16,
    float_levels: Sequence[int] = (0, 1),
    attention: bool = True,
    style: BinaryStyle = PUBLISHED_STYLE,
) -> Denoiser:
    """Build a denoiser that predicts noise; the defaults are the published network.

    Args:
        scale: upscaling factor; it changes no layer.
        width: channels of the first level.
        multipliers: channels of each level in units of ``width``; each is twice the one before.
        blocks: blocks of each level on the way down; the way up has one more.
        norm_groups: of the group norms.
        float_levels: levels whose decoder is float.
        attention: self-attention in the middle.
        style: of the binary convolutions.
    """
    conditioning = Conditioning(scale, grid="hr", multiple=2 ** (len(multipliers) - 1))
    core = BiDiffSRCore(
        width=width,
        multipliers=multipliers,
        blocks=blocks,
        norm_groups=norm_groups,
        float_levels=float_levels,
        attention=attention,
        style=style,
    )
    time = GroupedTime(style, code=width, hidden=4 * width, width=width)
    return Denoiser(time=time, core=core, conditioning=conditioning, prediction="eps")


class GroupedTime(TimeEmbedding):
    """An embedding whose last number is the timestep's group.

    Args:
        style: says how timesteps fall into groups.
        code: length of the sinusoidal code, even.
        hidden: features between the linear layers.
        width: length of the embedding without the group.
    """

    def __init__(self, style: BinaryStyle, *, code: int, hidden: int, width: int) -> None:
        super().__init__(code=code, hidden=hidden, width=width)
        self.style, self.length = style, width + 1

    def forward(self, timestep: Tensor) -> Tensor:
        """Map int64 ``(n,)`` to ``(n, width + 1)``."""
        embedding = super().forward(timestep)
        group = group_of(timestep.long(), self.style).to(embedding.dtype)
        return torch.cat([embedding, group[:, None]], dim=1)


class BiDiffSRCore(nn.Module):
    """Encoder, middle and decoder; see ``bidiffsr`` for the arguments."""

    embedding: Tensor | None

    def __init__(  # noqa: PLR0913
        self,
        *,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        norm_groups: int,
        float_levels: Sequence[int],
        attention: bool,
        style: BinaryStyle,
    ) -> None:
        super().__init__()
        self.register_buffer("embedding", None, persistent=False)

        def block(channels: int, *, attend: bool = False, binary: bool = True) -> "ResBlock":
            found = style if binary else None
            return ResBlock(
                channels, embedding=width, groups=norm_groups, attend=attend, style=found
            )

        self.stem = nn.Conv2d(2 * _RGB, width, 3, padding=1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        levels = range(len(multipliers))
        for level in levels:
            channels = multipliers[level] * width
            self.encoder.extend(block(channels) for _ in range(blocks))
            if level < len(multipliers) - 1:
                self.encoder.append(ConsistentPixelDown(channels, style=style))
        channels = multipliers[-1] * width
        self.middle = nn.ModuleList([block(channels, attend=attention), block(channels)])
        for level in reversed(levels):
            channels, binary = multipliers[level] * width, level not in float_levels
            for _ in range(blocks + 1):
                joined = (
                    ChannelShuffleFusion(channels, style=style) if binary else _Fusion(channels)
                )
                self.decoder.extend([joined, block(channels, binary=binary)])
            if level:
                self.decoder.append(ConsistentPixelUp(channels, style=style))
        self.norm = nn.GroupNorm(norm_groups, width)
        self.head = nn.Conv2d(width, _RGB, 3, padding=1)

    def forward(self, joined: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Map ``(n, 6, h, w)``, centre then noisy image, to ``(n, 3, h, w)``.

        Args:
            joined: sides are multiples of 2 to the number of halvings.
            embedding: ``(n, e + 1)`` of ``GroupedTime``; needless once a timestep is folded in.
        """
        found = self.embedding if embedding is None else embedding
        assert found is not None  # noqa: S101 - a core without timestep is of no use
        found = found.expand(len(joined), -1)
        time, group = functional.silu(found[:, :-1]), found[:, -1].long()
        features: Tensor = self.stem(joined)
        skips = [features]
        for part in self.encoder:
            features = _run(part, features, time, group)
            skips.append(features)
        for part in self.middle:
            features = _run(part, features, time, group)
        for part in self.decoder:
            if isinstance(part, (ChannelShuffleFusion, _Fusion)):
                features = part(features, skips.pop(), group)
            else:
                features = _run(part, features, time, group)
        made: Tensor = self.head(functional.silu(self.norm(features)))
        return made

    def fold_time(self, embedding: Tensor) -> None:
        """Work at one timestep from now on, that of the embedding ``(1, e + 1)``."""
        self.embedding = embedding.detach()


class ResBlock(nn.Module):
    """Twice group norm, SiLU and convolution, the timestep added between; and a sum.

    A binary convolution has a sum of its own beside it.

    Args:
        channels: in and out.
        embedding: length of the timestep's embedding.
        groups: of the group norms.
        attend: self-attention behind it.
        style: of the binary convolutions; None makes float ones.
        dropout: share of features dropped in training before the second convolution.
    """

    def __init__(  # noqa: PLR0913 - all keyword-only but the channels
        self,
        channels: int,
        *,
        embedding: int,
        groups: int,
        attend: bool,
        style: BinaryStyle | None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels) for _ in range(2))
        self.convs = nn.ModuleList(_conv(channels, style) for _ in range(2))
        self.project = nn.Linear(embedding, channels)
        self.dropout = nn.Dropout(dropout)
        self.attention = SelfAttention(channels, groups) if attend else nn.Identity()

    def forward(self, features: Tensor, time: Tensor, group: Tensor) -> Tensor:
        """Map ``(n, channels, h, w)`` to the same shape; ``time`` is ``(n, e)``."""
        made = _convolve(self.convs[0], functional.silu(self.norms[0](features)), group)
        made = made + self.project(time)[:, :, None, None]
        made = self.dropout(functional.silu(self.norms[1](made)))
        made = _convolve(self.convs[1], made, group) + features
        attended: Tensor = self.attention(made)
        return attended


class _Fusion(nn.Module):
    """Channel-shuffle fusion with float convolutions, which have no identity beside them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 1) for _ in range(2))

    def forward(self, features: Tensor, skip: Tensor, group: Tensor) -> Tensor:
        del group
        one, two = shuffled(features, skip)
        joined: Tensor = self.first(one) + self.second(two)
        return joined


def _conv(channels: int, style: BinaryStyle | None) -> nn.Module:
    if style is None:
        return nn.Conv2d(channels, channels, 3, padding=1)
    return BinaryConv2d(channels, style=style)


def _convolve(conv: nn.Module, features: Tensor, group: Tensor) -> Tensor:
    made: Tensor = conv(features) if isinstance(conv, nn.Conv2d) else conv(features, group)
    return made


def _run(part: nn.Module, features: Tensor, time: Tensor, group: Tensor) -> Tensor:
    made: Tensor = (
        part(features, time, group) if isinstance(part, ResBlock) else part(features, group)
    )
    return made
