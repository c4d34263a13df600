"""FSRCNN: the network whose transposed convolution the counters of the field disagree on.

Source: Dong, Loy, Tang 2016, "Accelerating the Super-Resolution Convolutional Neural Network",
arXiv 1608.00367.
"""

from torch import Tensor, nn

_KERNEL = 9


class FSRCNN(nn.Module):
    """Shrink, map, expand, and one 9x9 transposed convolution.

    Args:
        scale: upscaling factor.
        width: channels of the features.
        inner_width: channels of the mapping.
        depth: 3x3 convolutions of the mapping.
    """

    def __init__(
        self, scale: int, *, width: int = 56, inner_width: int = 12, depth: int = 4
    ) -> None:
        super().__init__()
        shapes = [(3, width, 5), (width, inner_width, 1)]
        shapes += [(inner_width, inner_width, 3)] * depth + [(inner_width, width, 1)]
        layers: list[nn.Module] = []
        for before, after, size in shapes:
            layers += [nn.Conv2d(before, after, size, padding=size // 2), nn.PReLU(after)]
        self.body = nn.Sequential(*layers)
        self.up = nn.ConvTranspose2d(
            width, 3, _KERNEL, stride=scale, padding=_KERNEL // 2, output_padding=scale - 1
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        sr: Tensor = self.up(self.body(lr))
        return sr
