"""The integer arithmetic of XNNPACK, LiteRT's default on CPUs.

Verified against LiteRT 2.3 on x86-64: no differing value. Codes are held in float32 tensors, which
represent integers below 2**24 exactly.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.quant import builtin
from edgesr.quant.scheme import QParams

_ADD_BITS = 20
_LOWEST_ADD_RATIO = 2.0**-10
_ADD_RATIO_END = 2.0**8


def requantize(
    accumulator: Tensor, source: QParams, scales: npt.NDArray[np.float32], target: QParams
) -> Tensor:
    """Bring a convolution's sums to the output grid, without its zero point and not clipped.

    ``round_half_even(float32(sum) * float32(float32(source * weight) / target))``; the order of the
    scale's operands matters.

    Args:
        accumulator: exact integers, ``(n, c, h, w)``.
        source: grid of the input.
        scales: weight scale per output channel.
        target: grid of the output.
    """
    factors = np.float32(source.scale) * scales / np.float32(target.scale)
    product = accumulator.float() * torch.from_numpy(factors).view(1, -1, 1, 1)
    return product.round_()


def add(  # noqa: PLR0913 - two operands and their grids
    first: Tensor, second: Tensor, a: QParams, b: QParams, target: QParams, *, sign: int = 1
) -> Tensor:
    """Add two tensors of codes on the output grid, without its zero point and not clipped.

    Both operands are multiplied by 21-bit integers, summed, shifted, rounded half up. Where an
    input scale is below 2**-10 or from 2**8 of the output's, XNNPACK leaves the operation to the
    built-in kernels, and so does this.

    Args:
        first: codes.
        second: codes of the same shape.
        a: grid of ``first``.
        b: grid of ``second``.
        target: grid of the output.
        sign: 1 adds, -1 subtracts.
    """
    ratios = [np.float32(one.scale / target.scale) for one in (a, b)]
    if min(ratios) < _LOWEST_ADD_RATIO or max(ratios) >= _ADD_RATIO_END:
        return builtin.add(first, second, a, b, target, sign=sign, vectors=sign == 1)
    shift = _ADD_BITS - (int(np.frexp(max(ratios))[1]) - 1)
    multipliers = [int(np.rint(np.ldexp(np.float64(ratio), shift))) for ratio in ratios]
    total = (first - a.zero_point).int() * multipliers[0]
    total += (second - b.zero_point).int() * (sign * multipliers[1])
    total += 1 << (shift - 1)
    return (total >> shift).float()
