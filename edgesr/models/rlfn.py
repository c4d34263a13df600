"""RLFN: residual local features, winner of NTIRE 2022 (runtime) and baseline of NTIRE 2024.

Source: Kong, Li, Liu et al. 2022, "Residual Local Feature Network for Efficient
Super-Resolution", arXiv 2205.07514; widths are those of the pruned challenge entry.
"""

from torch import Tensor, nn

from edgesr.models.esa import SpatialAttention

_SLOPE = 0.05


class RLFN(nn.Module):
    """Local residual blocks inside one residual connection.

    Args:
        scale: upscaling factor.
        width: channels between the blocks.
        inner_width: channels inside a block.
        attention_width: channels inside the attention.
        num_blocks: local residual blocks.
    """

    def __init__(
        self,
        scale: int,
        *,
        width: int = 46,
        inner_width: int = 48,
        attention_width: int = 16,
        num_blocks: int = 4,
    ) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(_Block(width, inner_width, attention_width) for _ in range(num_blocks))
        )
        self.tail = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.Sequential(
            nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        features = self.head(lr)
        sr: Tensor = self.up(self.tail(self.blocks(features)) + features)
        return sr


class _Block(nn.Module):
    """Three 3x3 convolutions with a residual connection, a 1x1 and attention."""

    def __init__(self, width: int, inner_width: int, attention_width: int) -> None:
        super().__init__()
        widths = ((width, inner_width), (inner_width, inner_width), (inner_width, width))
        layers: list[nn.Module] = []
        for before, after in widths:
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(_SLOPE)]
        self.refine = nn.Sequential(*layers)
        self.mix = nn.Conv2d(width, width, 1)
        self.attention = SpatialAttention(width, attention_width, depth=1)

    def forward(self, features: Tensor) -> Tensor:
        attended: Tensor = self.attention(self.mix(self.refine(features) + features))
        return attended
