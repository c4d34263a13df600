"""The integer arithmetic of LiteRT's built-in kernels: ``builtin`` (optimized) and ``reference``.

Both multiply in fixed point and round twice. The reference kernels round the second half away from
zero. The optimized kernels round it up where they work on whole vectors of eight, and away from
zero in what is left over; their matrix product (CONV_2D, FULLY_CONNECTED) leaves nothing over.
"""

from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.quant.fixed_point import Half, multiply, quantize_multiplier
from edgesr.quant.scheme import QParams

_ADD_BITS = 20
VECTOR = 8
"""Values that the optimized kernels treat at a time."""


def requantize(
    accumulator: Tensor,
    source: QParams,
    scales: npt.NDArray[np.float32],
    target: QParams,
    *,
    half: Half,
) -> Tensor:
    """Bring a convolution's sums to the output grid, without its zero point and not clipped.

    Args:
        accumulator: exact integers, ``(n, c, h, w)``.
        source: grid of the input.
        scales: weight scale per output channel.
        target: grid of the output.
        half: second rounding.
    """
    factors = np.float64(source.scale) * scales.astype(np.float64) / np.float64(target.scale)
    steps = torch.empty_like(accumulator, dtype=torch.float32)
    for channel, factor in enumerate(factors.tolist()):  # a channel at a time stays in the cache
        sums = accumulator[:, channel].long()
        steps[:, channel] = multiply(sums, quantize_multiplier(factor), half=half)
    return steps


def requantize_vectors(
    accumulator: Tensor, source: QParams, scales: npt.NDArray[np.float32], target: QParams
) -> Tensor:
    """Do as ``requantize`` where channels go in vectors of eight: up in those, away in the rest."""
    body = accumulator.shape[1] // VECTOR * VECTOR
    halves: tuple[Half, Half] = "up", "away"
    parts = [
        requantize(part, source, part_scales, target, half=half)
        for part, part_scales, half in zip(
            (accumulator[:, :body], accumulator[:, body:]),
            (scales[:body], scales[body:]),
            halves,
            strict=True,
        )
        if part.shape[1]
    ]
    return torch.cat(parts, dim=1)


def add(  # noqa: PLR0913 - two operands and their grids
    first: Tensor, second: Tensor, a: QParams, b: QParams, target: QParams, *, sign: int = 1
) -> Tensor:
    """Add two tensors of codes on the output grid, without its zero point and not clipped.

    Both operands are brought to a common grid with 20 more bits, then the sum to the output's.

    Args:
        first: codes.
        second: codes of the same shape.
        a: grid of ``first``.
        b: grid of ``second``.
        target: grid of the output.
        sign: 1 adds, -1 subtracts.
    """
    common = 2.0 * max(float(a.scale), float(b.scale))
    total = _scaled(first, a, common) + sign * _scaled(second, b, common)
    factor = common / ((1 << _ADD_BITS) * float(target.scale))
    return multiply(total, quantize_multiplier(factor), half="away").float()


def _scaled(codes: Tensor, grid: QParams, common: float) -> Tensor:
    shifted = (codes.long() - grid.zero_point) << _ADD_BITS
    return multiply(shifted, quantize_multiplier(float(grid.scale) / common), half="away")


requantize_optimized = partial(requantize, half="up")
requantize_reference = partial(requantize, half="away")
