"""The integer arithmetic of XNNPACK, LiteRT's default on CPUs.

Verified against LiteRT 2.3 on x86-64: no differing value. Codes are held in float32 tensors, which
represent integers below 2**24 exactly.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.quant.scheme import QParams

_ADD_BITS = 20


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


def add(first: Tensor, second: Tensor, a: QParams, b: QParams, target: QParams) -> Tensor:
    """Add two tensors of codes on the output grid, without its zero point and not clipped.

    Both operands are multiplied by 21-bit integers, summed, shifted, rounded half up.
    """
    ratios = [np.float32(one.scale / target.scale) for one in (a, b)]
    shift = _ADD_BITS - (int(np.frexp(max(ratios))[1]) - 1)
    multipliers = [int(np.rint(np.ldexp(np.float64(ratio), shift))) for ratio in ratios]
    total = (first - a.zero_point).int() * multipliers[0]
    total += (second - b.zero_point).int() * multipliers[1]
    total += 1 << (shift - 1)
    return (total >> shift).float()
