"""The UNet of SR3, at full resolution: what small denoisers are measured against.

Source: Saharia, Ho, Chan et al. 2021, "Image Super-Resolution via Iterative Refinement", arXiv
2104.07636. The paper gives widths and depths but not every layer; the layers here are those of the
widely used public re-implementation, which later papers compare with.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser import Denoiser
from edgesr.models.self_attention import SelfAttention
from edgesr.models.time_embedding import TimedConv2d, TimeEmbedding

_RGB = 3


def sr3(
    scale: int,
    *,
    width: int = 64,
    multipliers: Sequence[int] = (1, 2, 4, 8),
    blocks: int = 2,
    attention: Sequence[int] = (),
) -> Denoiser:
    """Build a denoiser that predicts noise.

    Args:
        scale: upscaling factor; it changes no layer.
        width: channels of the first level.
        multipliers: channels of each level in units of ``width``.
        blocks: blocks of each level on the way down; the way up has one more.
        attention: levels with self-attention; the middle always has it.
    """
    conditioning = Conditioning(scale, grid="hr", multiple=2 ** (len(multipliers) - 1))
    core = SR3Core(width=width, multipliers=multipliers, blocks=blocks, attention=attention)
    time = TimeEmbedding(code=width, hidden=4 * width, width=width)
    return Denoiser(time=time, core=core, conditioning=conditioning, prediction="eps")


class SR3Core(nn.Module):
    """Residual blocks with group norm and SiLU on halved and doubled images, skips joined.

    Args:
        width: channels of the first level, a multiple of ``groups``; also the embedding's length.
        multipliers: channels of each level in units of ``width``.
        blocks: blocks of each level on the way down.
        attention: levels with self-attention.
        groups: of the group norms.
        dropout: share of features dropped in training.
    """

    def __init__(  # noqa: PLR0913 - the parameters of the paper's table
        self,
        *,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        groups: int = 16,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()

        def block(before: int, after: int, *, attend: bool) -> nn.Module:
            return _Block(
                before, after, embedding=width, groups=groups, dropout=dropout, attend=attend
            )

        channels, skips = width, [width]
        self.stem = nn.Conv2d(2 * _RGB, width, 3, padding=1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level, factor in enumerate(multipliers):
            for _ in range(blocks):
                self.encoder.append(block(channels, factor * width, attend=level in attention))
                channels = factor * width
                skips.append(channels)
            if level < len(multipliers) - 1:
                self.encoder.append(_Down(channels))
                skips.append(channels)
        self.middle = nn.ModuleList(
            block(channels, channels, attend=attend) for attend in (True, False)
        )
        for level in reversed(range(len(multipliers))):
            for _ in range(blocks + 1):
                before, after = channels + skips.pop(), multipliers[level] * width
                self.decoder.append(block(before, after, attend=level in attention))
                channels = after
            if level:
                self.decoder.append(_Up(channels))
        self.norm = nn.GroupNorm(groups, channels)
        self.head = nn.Conv2d(channels, _RGB, 3, padding=1)

    def forward(self, joined: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Map ``(n, 6, h, w)`` to ``(n, 3, h, w)``; sides are multiples of the halvings' factor."""
        features: Tensor = self.stem(joined)
        skips = [features]
        for part in self.encoder:
            features = part(features, embedding)
            skips.append(features)
        for part in self.middle:
            features = part(features, embedding)
        for part in self.decoder:
            if isinstance(part, _Block):
                features = torch.cat([features, skips.pop()], dim=1)
            features = part(features, embedding)
        made: Tensor = self.head(functional.silu(self.norm(features)))
        return made


class _Block(nn.Module):
    """Two convolutions behind group norms with the timestep between, maybe self-attention."""

    def __init__(  # noqa: PLR0913 - all keyword-only but the channels
        self, before: int, after: int, *, embedding: int, groups: int, dropout: float, attend: bool
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, before)
        self.first = TimedConv2d(before, after, 3, embedding=embedding, gain=False)
        self.second_norm = nn.GroupNorm(groups, after)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        self.attention = SelfAttention(after, groups) if attend else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        changed = self.first(functional.silu(self.norm(features)), embedding)
        changed = self.second(self.dropout(functional.silu(self.second_norm(changed))))
        made: Tensor = self.attention(changed + self.skip(features))
        return made


class _Down(nn.Module):
    """Half the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        del embedding
        halved: Tensor = self.conv(features)
        return halved


class _Up(nn.Module):
    """Double the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        del embedding
        doubled: Tensor = self.conv(functional.interpolate(features, scale_factor=2.0))
        return doubled
