"""How a denoiser is told its timestep, in a form that a fixed timestep folds away.

An embedding of the timestep scales and shifts features (FiLM). The scale is an exponential, so it
is positive: with the timestep fixed it becomes part of a convolution's filter scales, and the shift
part of its bias. Nothing of this file is left in a deployed network.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import DataError

MAX_LOG_GAIN = 2.0
"""Features are scaled by a factor between exp(-2) and exp(2)."""

_LONGEST_PERIOD = 10_000.0


@runtime_checkable
class FoldsTime(Protocol):
    """A layer that can take what it knows of one timestep into its weights."""

    def fold_time(self, embedding: Tensor) -> None:
        """Fold the embedding ``(1, e)`` in; afterwards ``forward`` ignores its embedding."""


def sinusoidal(timestep: Tensor, width: int) -> Tensor:
    """Return sines, then cosines, of the timestep at frequencies from 1 down to 1/10000.

    Args:
        timestep: ``(n,)``, whole numbers, or any real ones such as a noise level.
        width: length of the code, even.

    Returns:
        ``(n, width)`` float32, in [-1, 1].

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5.
    """
    index = torch.arange(width // 2, dtype=torch.float32, device=timestep.device)
    frequency = torch.exp(-math.log(_LONGEST_PERIOD) * index / (width // 2))
    angle = timestep.float()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class TimeEmbedding(nn.Module):
    """Sinusoidal code of the timestep, then two linear layers.

    Args:
        code: length of the sinusoidal code, even.
        hidden: features between the linear layers.
        width: length of the embedding.
    """

    def __init__(self, *, code: int, hidden: int, width: int) -> None:
        super().__init__()
        self.code = code
        self.first = nn.Linear(code, hidden)
        self.second = nn.Linear(hidden, width)

    def forward(self, timestep: Tensor) -> Tensor:
        """Map ``(n,)`` to ``(n, width)``.

        Raises:
            DataError: ``timestep`` has another shape.
        """
        if timestep.ndim != 1:
            raise DataError(f"timestep has shape {tuple(timestep.shape)}, want (n,), one an image")
        code = sinusoidal(timestep, self.code).to(self.first.weight.dtype)
        embedding: Tensor = self.second(functional.silu(self.first(code)))
        return embedding


class FiLM(nn.Module):
    """Scale and shift of every channel, from the embedding of the timestep.

    It starts as the identity.

    Args:
        embedding: length of the embedding.
        channels: channels of the features.
        gain: scale as well; without it the features are shifted alone.

    Source: Perez et al. 2017, arXiv 1709.07871, eq. 2; with a positive scale.
    """

    def __init__(self, embedding: int, channels: int, *, gain: bool = True) -> None:
        super().__init__()
        self.gain = gain
        self.project = nn.Linear(embedding, (2 if gain else 1) * channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def factors(self, embedding: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return scale (above 0; None without one) and shift, each ``(n, channels)``."""
        return self.split(self.project(embedding))

    def split(self, made: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return scale and shift from what ``project`` made, ``(n, channels or twice that)``."""
        if not self.gain:
            return None, made
        raw, shift = made.chunk(2, dim=1)
        # tanh bounds the exponent and, other than a clamp, never stops its gradient
        return torch.exp(MAX_LOG_GAIN * torch.tanh(raw / MAX_LOG_GAIN)), shift

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Map ``(n, c, h, w)`` to the same shape."""
        gain, shift = self.factors(embedding)
        scaled = features if gain is None else features * gain[:, :, None, None]
        return scaled + shift[:, :, None, None]


class TimedConv2d(nn.Module):
    """A convolution that keeps the image's size, with FiLM behind it.

    Args:
        before: channels in.
        after: channels out.
        size: side of the kernel, odd.
        embedding: length of the embedding.
        gain: let the timestep scale features as well as shift them.
    """

    def __init__(
        self, before: int, after: int, size: int, *, embedding: int, gain: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, padding=size // 2)
        self.film: FiLM | None = FiLM(embedding, after, gain=gain)

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        """Map ``(n, before, h, w)`` to ``(n, after, h, w)``."""
        made: Tensor = self.conv(features)
        return timed(made, self.film, embedding)

    @torch.no_grad()
    def fold_time(self, embedding: Tensor) -> None:
        """Make scale and shift of this embedding part of weight and bias."""
        if self.film is None:
            return
        gain, shift = self.film.factors(embedding)
        fold_affine(self.conv, gain, shift)
        self.film = None


def timed(features: Tensor, film: FiLM | None, embedding: Tensor | None) -> Tensor:
    """Apply ``film`` where it was not folded in.

    Raises:
        DataError: it was not, and there is no embedding.
    """
    if film is None:
        return features
    if embedding is None:
        raise DataError(
            "the network wants a timestep, but none was given; give one or fold one in "
            "(fold_timestep)"
        )
    applied: Tensor = film(features, embedding)
    return applied


def fold_affine(layer: nn.Conv2d | nn.LayerNorm, gain: Tensor | None, shift: Tensor) -> None:
    """Let ``layer`` scale its output channels by ``gain`` and shift them, ``(1, c)`` each.

    Raises:
        DataError: the layer has no bias.
    """
    if layer.bias is None:
        raise DataError(f"{type(layer).__name__} has no bias to fold a shift into; build it so")
    weight, bias = layer.weight.double(), layer.bias.double()
    factor = torch.ones_like(bias) if gain is None else gain[0].double()
    column = factor.reshape(-1, *(1,) * (weight.ndim - 1))
    layer.weight.copy_(weight * column)
    layer.bias.copy_(bias * factor + shift[0].double())
