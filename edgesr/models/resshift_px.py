"""A small denoiser for residual shifting in pixel space, made for INT8.

The path is ResShift's (Yue, Wang, Loy 2023, "ResShift: Efficient Diffusion Model for Image
Super-resolution by Residual Shifting", arXiv 2307.12348); the network is edgesr's own. The noisy
image works on the grid of the low-resolution one, skips are sums and no layer normalises, so that
with the timestep folded in only convolutions, sums, ReLU and pixel shuffles are left.
"""

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser import Denoiser
from edgesr.models.naf_block import NafBlock
from edgesr.models.time_embedding import TimedConv2d, TimeEmbedding

EMBEDDING = 64
"""Length of the timestep's code and embedding."""

_FIRST_STEP = 0.1
"""Without norms every block starts near the identity: its last convolution is this much smaller."""

MakeBlock = Callable[[int], nn.Module]


def resshift_px(scale: int, *, widths: Sequence[int], blocks: int, naf: bool = False) -> Denoiser:
    """Build a denoiser that predicts the residual from the centre.

    Args:
        scale: upscaling factor.
        widths: channels of each level; the next level has half the height and width.
        blocks: residual blocks of each level on the way down, and again on the way up.
        naf: NAF blocks instead of plain ones; float only, INT8 has no form for them.
    """
    conditioning = Conditioning(scale, grid="lr", multiple=2 ** (len(widths) - 1))
    make: MakeBlock = _naf if naf else ResBlock
    core = ResShiftPxCore(
        conditioning.channels, scale, widths=widths, blocks=blocks, make_block=make
    )
    time = TimeEmbedding(code=EMBEDDING, hidden=EMBEDDING, width=EMBEDDING)
    return Denoiser(time=time, core=core, conditioning=conditioning, prediction="residual")


class ResShiftPxCore(nn.Module):
    """U-shaped network on the low-resolution grid whose skips are sums.

    It starts with an output of zero, so that the first prediction is the centre.

    Args:
        channels: of the input.
        scale: upscaling factor of the output.
        widths: channels of each level.
        blocks: blocks of each level and direction.
        make_block: block of a width.
    """

    def __init__(
        self,
        channels: int,
        scale: int,
        *,
        widths: Sequence[int],
        blocks: int,
        make_block: MakeBlock,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for width in widths:
            self.encoder.append(_level(width, blocks, make_block))
            self.decoder.append(_level(width, blocks, make_block))
        for upper, lower in itertools.pairwise(widths):
            self.down.append(nn.Conv2d(upper, lower, 3, stride=2, padding=1))
            self.up.append(nn.Sequential(nn.Conv2d(lower, 4 * upper, 1), nn.PixelShuffle(2)))
        self.head = nn.Conv2d(widths[0], 3 * scale**2, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.shuffle = nn.PixelShuffle(scale)

    def blocks(self) -> list[nn.Module]:
        """Return its blocks, each of which makes a map of features."""
        levels = (*self.encoder, *self.decoder)
        return [block for level in levels for block in level.children()]

    def forward(self, joined: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Map ``(n, channels, h, w)`` to ``(n, 3, s h, s w)``.

        Args:
            joined: height and width are multiples of 2 to the number of halvings.
            embedding: ``(n, e)``; needless once a timestep is folded in.
        """
        features: Tensor = self.stem(joined)
        skips: list[Tensor] = []
        for level, part in enumerate(self.encoder):
            if level:
                skips.append(features)
                features = self.down[level - 1](features)
            features = _run(part, features, embedding)
        for level in reversed(range(len(self.decoder))):
            features = _run(self.decoder[level], features, embedding)
            if level:
                features = self.up[level - 1](features) + skips[level - 1]
        made: Tensor = self.shuffle(self.head(features))
        return made


class ResBlock(nn.Module):
    """Convolution with FiLM, ReLU, convolution, sum: every layer has an INT8 form.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = TimedConv2d(width, width, 3, embedding=EMBEDDING)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.conv.weight, nonlinearity="relu")
        self.second.weight.data.mul_(_FIRST_STEP)

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        """Map ``(n, width, h, w)`` to the same shape."""
        changed = self.second(functional.relu(self.first(features, embedding)))
        added: Tensor = features + changed
        return added


def _naf(width: int) -> nn.Module:
    return NafBlock(width, embedding=EMBEDDING)


def _level(width: int, blocks: int, make_block: MakeBlock) -> nn.ModuleList:
    return nn.ModuleList(make_block(width) for _ in range(blocks))


def _run(blocks: nn.Module, features: Tensor, embedding: Tensor | None) -> Tensor:
    for block in blocks.children():
        features = block(features, embedding)
    return features
