"""Fixed-point arithmetic of LiteRT's built-in kernels: a real factor as a 32-bit integer."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Half = Literal["up", "away"]
"""Where the second rounding sends a half: up, or away from zero."""

_BITS = 31
_SMALLEST_EXPONENT = -31


@dataclass(frozen=True, kw_only=True)
class Multiplier:
    """A factor as ``mantissa * 2**(exponent - 31)``.

    Attributes:
        mantissa: in [2**30, 2**31), or 0.
        exponent: at least -31.
    """

    mantissa: int
    exponent: int


def quantize_multiplier(factor: float) -> Multiplier:
    """Return ``factor``, not negative, in fixed point; below 2**-32 it becomes 0."""
    fraction, exponent = math.frexp(factor)
    mantissa = math.floor(fraction * (1 << _BITS) + 0.5)
    if mantissa == 1 << _BITS:
        mantissa, exponent = mantissa // 2, exponent + 1
    if exponent < _SMALLEST_EXPONENT:
        mantissa = exponent = 0
    return Multiplier(mantissa=mantissa, exponent=exponent)


def multiply(numbers: Tensor, by: Multiplier, *, half: Half) -> Tensor:
    """Return ``numbers`` times ``by``, rounded twice: half up to 31 bits, then as ``half`` says.

    Args:
        numbers: int64 that fit into 32 bits; left alone.
        by: the factor.
        half: ``away`` in the reference kernels, ``up`` in the optimized ones.
    """
    left, right = max(by.exponent, 0), max(-by.exponent, 0)
    high = numbers * (by.mantissa << left)
    high += 1 << (_BITS - 1)
    high >>= _BITS
    if right:
        if half == "away":
            # A half below zero is one too high with the sum below; the sign bit is -1 there.
            high += high >> 63
        high += 1 << (right - 1)
        high >>= right
    return high
