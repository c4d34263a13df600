"""BiDense's layers: signs that follow the image, and an identity between unlike channel numbers.

Source: Yin et al. 2024 (BiDense), arXiv 2411.10346: distribution-adaptive binarizer (DAB) and
channel-adaptive full-precision bypass (CFB). The order in which CFB merges channels is that of the
authors' code.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from edgesr.binary.sign import Slope, piecewise, sign

Scale = Literal["channel", "word", "tensor"]

_WORD = 64
"""Channels that a packed kernel counts at once."""
_FIRST_SPREAD = 1e-3


class AdaptiveSign(nn.Module):
    """``beta * sign(x - tau)``: threshold and strength come from each image's own means.

    ``tau_c = k_c mean(x_c) + b_c``; ``beta_c = exp(a_c (mean|x_c - tau_c| - 1))``. The means carry
    no gradient. A threshold costs a packed kernel nothing; a strength of each channel lies inside
    the sum over channels, so that counting bits is not exact for ``scale="channel"``, the published
    form. ``word`` takes the mean of ``beta`` over every 64 channels (one product a packed word),
    ``tensor`` over all (one product a pixel): both are exact.

    Args:
        channels: of the input.
        scale: over what ``beta`` is one number.
        slope: gradient of the sign.
    """

    def __init__(
        self, channels: int, *, scale: Scale = "channel", slope: Slope = piecewise
    ) -> None:
        super().__init__()
        self.scale, self._slope = scale, slope
        self.mean_gain = nn.Parameter(torch.randn(channels) * _FIRST_SPREAD)
        self.spread_gain = nn.Parameter(torch.randn(channels) * _FIRST_SPREAD)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, c, h, w)`` to the same shape."""
        bits, strength = self.parts(features)
        return strength * bits

    def parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return signs ``(n, c, h, w)`` and strengths ``(n, c, 1, 1)``, above 0."""
        mean = features.detach().mean(dim=(2, 3))
        threshold = self.mean_gain * mean + self.bias
        moved = features - threshold[:, :, None, None]
        spread = moved.detach().abs().mean(dim=(2, 3))
        strength = torch.exp(self.spread_gain * (spread - 1.0))
        return sign(moved, self._slope), self._shared(strength)[:, :, None, None]

    def _shared(self, strength: Tensor) -> Tensor:
        if self.scale == "channel":
            return strength
        size = _WORD if self.scale == "word" else strength.shape[1]
        parts = torch.split(strength, size, dim=1)
        return torch.cat([part.mean(dim=1, keepdim=True).expand_as(part) for part in parts], dim=1)


def bypass(features: Tensor, channels: int) -> Tensor:
    """Return ``features`` with ``channels`` channels, without a parameter.

    The input is repeated as often as it fits whole; what is left is filled with means: all but the
    last filling channel average every so many-th channel, the last one averages the rest. For one
    filling channel that is the mean of all, where the authors' code fails.

    Args:
        features: ``(n, c, h, w)``.
        channels: wanted, at least 1.
    """
    count = features.shape[1]
    times, left = divmod(channels, count)
    parts = [features] * times
    if left == 1:
        parts.append(features.mean(dim=1, keepdim=True))
    elif left:
        strides = count // left
        used = strides * (left - 1)
        groups = features[:, :used].reshape(-1, strides, left - 1, *features.shape[2:])
        apart = groups.mean(dim=1)
        parts += [apart, features[:, used:].mean(dim=1, keepdim=True)]
    return torch.cat(parts, dim=1)
