"""Self-attention over all pixels of a feature map."""

from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Group norm, one head of scaled dot products, a sum with the input.

    Its memory grows with the square of the pixels.

    Args:
        channels: in and out.
        groups: of the group norm.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.triple = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.join = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, channels, h, w)`` to the same shape."""
        parts = self.triple(self.norm(features)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        seen = functional.scaled_dot_product_attention(*(part.unsqueeze(1) for part in parts))
        image = seen.squeeze(1).transpose(1, 2).reshape(features.shape)
        added: Tensor = features + self.join(image)
        return added
