"""Grey levels in [0, 255] to the [-1, 1] of diffusion, and back."""

from torch import Tensor

_HALF = 127.5


def from_grey_levels(image: Tensor) -> Tensor:
    """Map an image of any shape from [0, 255] to [-1, 1]; integers become float32."""
    return image / _HALF - 1.0


def to_grey_levels(image: Tensor) -> Tensor:
    """Map an image of any shape from [-1, 1] to [0, 255], clipped there and not rounded."""
    return ((image + 1.0) * _HALF).clamp(0.0, 2 * _HALF)
