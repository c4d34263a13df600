"""FMEN: few kinds of layers and little memory, second of NTIRE 2022 (runtime).

Source: Du, Liu, Liu, Tang, Wu, Fu 2022, "Fast and Memory-Efficient Network Towards Efficient
Image Super-Resolution", arXiv 2204.08397. This is the deployed form: every re-parameterised block
is the one 3x3 convolution that it collapses to.
"""

from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.1


class FMEN(nn.Module):
    """Plain 3x3 blocks in turn with high-frequency attention.

    Args:
        scale: upscaling factor.
        width: channels of the features.
        attention_width: channels inside the attention.
        num_blocks: pairs of a plain block and an attention.
    """

    def __init__(
        self, scale: int, *, width: int = 50, attention_width: int = 16, num_blocks: int = 4
    ) -> None:
        super().__init__()
        self.head = _conv(3, width)
        self.warm = nn.Sequential(
            _conv(width, width), _Attention(width, attention_width - 4, num_blocks=2)
        )
        pairs: list[nn.Module] = []
        for _ in range(num_blocks):
            pairs += [_Plain(width), _Attention(width, attention_width, num_blocks=1)]
        self.blocks = nn.Sequential(*pairs)
        self.tail = _conv(width, width)
        self.up = nn.Sequential(_conv(width, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        features = self.head(lr)
        sr: Tensor = self.up(self.tail(self.blocks(self.warm(features))) + features)
        return sr


class _Plain(nn.Module):
    """Two 3x3 convolutions with an activation between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = _conv(width, width)

    def forward(self, features: Tensor) -> Tensor:
        refined: Tensor = self.second(functional.leaky_relu(self.first(features), _SLOPE))
        return refined


class _Attention(nn.Module):
    """Weigh the features by a narrow stack of 3x3 convolutions."""

    def __init__(self, width: int, inner_width: int, *, num_blocks: int) -> None:
        super().__init__()
        self.squeeze = _conv(width, inner_width)
        self.blocks = nn.Sequential(*(_Plain(inner_width) for _ in range(num_blocks)))
        self.excite = _conv(inner_width, width)

    def forward(self, features: Tensor) -> Tensor:
        narrow = self.blocks(functional.leaky_relu(self.squeeze(features), _SLOPE))
        weights: Tensor = self.excite(functional.leaky_relu(narrow, _SLOPE)).sigmoid()
        return features * weights


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)
