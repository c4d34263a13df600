"""Activations of one bit: sign with a chosen gradient.

The sign of 0 is +1, so that one bit holds every value. With ``zero=0`` it is 0 as in
``torch.sign``, which published code uses; such a value has no place in a packed word.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from edgesr.binary.straight_through import straight_through
from edgesr.errors import ConfigError

_SHARP_FIRST, _SHARP_LAST = 0.1, 10.0

ANNEALED = "annealed"
"""The gradient that changes while a run goes on."""

Slope = Callable[[Tensor], Tensor]
"""Gradient of a sign at every value."""


def piecewise(values: Tensor) -> Tensor:
    """Return ``2 - 2|x|`` inside [-1, 1], 0 outside: a triangle.

    Source: Liu et al. 2018 (Bi-Real Net), arXiv 1808.00278, eq. 7.
    """
    return (2.0 - 2.0 * values.abs()).clamp_min(0.0)


def clip(values: Tensor) -> Tensor:
    """Return 1 inside [-1, 1], 0 outside.

    Source: Courbariaux et al. 2016 (BNN), arXiv 1602.02830, eq. 4.
    """
    return (values.abs() <= 1.0).to(values.dtype)


def annealed(values: Tensor, *, progress: float) -> Tensor:
    """Return ``k t (1 - tanh^2(t x))``, from wide to sharp as training goes on.

    Args:
        values: any shape.
        progress: share of the training that is done, 0 to 1; ``t`` grows from 0.1 to 10 by one
            factor a step, and ``k = max(1/t, 1)``.

    Source: Qin et al. 2020 (IR-Net), arXiv 1909.10788, section 3.3.
    """
    sharp = _SHARP_FIRST * math.pow(_SHARP_LAST / _SHARP_FIRST, min(max(progress, 0.0), 1.0))
    return max(1.0 / sharp, 1.0) * sharp * (1.0 - torch.tanh(sharp * values) ** 2)


SLOPES: Mapping[str, Slope] = MappingProxyType(
    {
        "piecewise": piecewise,
        "clip": clip,
        ANNEALED: lambda values: annealed(values, progress=1.0),
    }
)


def find_slope(name: str, *, progress: float = 1.0) -> Slope:
    """Return a gradient by name.

    Args:
        name: in ``SLOPES``.
        progress: share of the training that is done, for ``annealed``; 1 is its last state.

    Raises:
        ConfigError: no such gradient.
    """
    if name not in SLOPES:
        raise ConfigError(f"sign gradient {name!r} is unknown; choose one of {', '.join(SLOPES)}")
    if name == ANNEALED:
        return partial(annealed, progress=progress)
    return SLOPES[name]


def signs(values: Tensor, *, zero: int = 1) -> Tensor:
    """Return the sign without gradient; that of 0 is ``zero``, 1 or 0."""
    found = torch.where(values >= 0, 1.0, -1.0).to(values.dtype)
    return found if zero else torch.where(values == 0, torch.zeros_like(found), found)


def sign(values: Tensor, slope: Slope = piecewise, *, zero: int = 1) -> Tensor:
    """Return the sign of every value, with the gradient ``slope``.

    Args:
        values: any shape.
        slope: gradient at every value.
        zero: sign of 0, 1 or 0.
    """
    return straight_through(values, signs(values, zero=zero), slope(values.detach()))
