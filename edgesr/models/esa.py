"""Enhanced spatial attention: the attention block of the efficient super-resolution challenges.

Source: Liu, Zhang, Tang, Tang, Wu 2020, "Residual Feature Aggregation Network for Image
Super-Resolution", CVPR 2020; narrowed in arXiv 2009.11551 and arXiv 2205.07514.
"""

from torch import Tensor, nn
from torch.nn import functional

_POOL_WINDOW = 7
_POOL_STRIDE = 3


class SpatialAttention(nn.Module):
    """Weigh every pixel by what a coarse look at its surroundings says.

    Args:
        channels: of the features in and out.
        width: channels inside.
        depth: 3x3 convolutions at the coarse size; 3 as published, 1 in RLFN.
    """

    def __init__(self, channels: int, width: int, *, depth: int = 3) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1)
        self.skip = nn.Conv2d(width, width, 1)
        self.shrink = nn.Conv2d(width, width, 3, stride=2)
        layers: list[nn.Module] = []
        for _ in range(depth - 1):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.coarse = nn.Sequential(*layers, nn.Conv2d(width, width, 3, padding=1))
        self.expand = nn.Conv2d(width, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, channels, h, w)`` to the same shape; both sides are 15 pixels or more."""
        reduced = self.reduce(features)
        pooled = functional.max_pool2d(self.shrink(reduced), _POOL_WINDOW, _POOL_STRIDE)
        size = (features.shape[2], features.shape[3])
        spread = functional.interpolate(self.coarse(pooled), size, mode="bilinear")
        weights: Tensor = self.expand(spread + self.skip(reduced)).sigmoid()
        return features * weights
