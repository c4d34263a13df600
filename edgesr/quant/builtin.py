"""The integer arithmetic of LiteRT's built-in kernels: ``builtin`` (optimized) and ``reference``.

Both multiply in fixed point and round twice. The reference kernels round the second half away from
zero. The optimized kernels round it up where they work on whole vectors of eight, and away from
zero in what is left over; their matrix product (CONV_2D, FULLY_CONNECTED) leaves nothing over.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.quant.fixed_point import Half, Multiplier, multiply, quantize_multiplier
from edgesr.quant.scheme import QParams

ADD_BITS = 20
"""More bits than the operands' that ADD and SUB of int8 compute with."""
VECTOR = 8
"""Values that the optimized kernels treat at a time."""
ADD_VECTOR = 16
"""Values that the optimized ADD treats at a time."""


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


def add(  # noqa: PLR0913 - two operands, their grids, and how they are rounded
    first: Tensor,
    second: Tensor,
    a: QParams,
    b: QParams,
    target: QParams,
    *,
    sign: int = 1,
    bits: int = ADD_BITS,
    vectors: bool = False,
) -> Tensor:
    """Add two tensors of codes on the output grid, without its zero point and not clipped.

    Both operands are brought to a common grid with more bits, then the sum to the output's.

    Args:
        first: codes ``(n, c, h, w)``; with ``vectors`` every image is added on its own.
        second: codes of the same shape.
        a: grid of ``first``.
        b: grid of ``second``.
        target: grid of the output.
        sign: 1 adds, -1 subtracts.
        bits: that the common grid has more.
        vectors: whether operands are rounded once in whole vectors of 16 values, in the order NHWC,
            and twice in what is left over, as the optimized ADD does; else twice, as the reference
            ADD and every SUB do.
    """
    common = 2.0 * max(float(a.scale), float(b.scale))
    factor = quantize_multiplier(common / ((1 << bits) * float(target.scale)))
    brought = partial(_brought, common=common, bits=bits, vectors=vectors)
    return multiply(brought(first, a) + sign * brought(second, b), factor, half="away").float()


add_optimized = partial(add, vectors=True)
"""ADD of the optimized kernels."""


def _brought(codes: Tensor, grid: QParams, *, common: float, bits: int, vectors: bool) -> Tensor:
    by = quantize_multiplier(float(grid.scale) / common)
    shifted = codes.long() - grid.zero_point
    if not vectors:
        return _rounded_twice(shifted, by, bits)
    flat = shifted.permute(0, 2, 3, 1).flatten(1)
    body = flat.shape[1] // ADD_VECTOR * ADD_VECTOR
    parts = (_rounded_once(flat[:, :body], by, bits), _rounded_twice(flat[:, body:], by, bits))
    count, channels, height, width = codes.shape
    return torch.cat(parts, dim=1).view(count, height, width, channels).permute(0, 3, 1, 2)


def _rounded_once(codes: Tensor, by: Multiplier, bits: int) -> Tensor:
    shift = bits + by.exponent
    shifted = codes << shift if shift >= 0 else codes >> -shift
    return multiply(shifted, replace(by, exponent=0), half="away")


def _rounded_twice(codes: Tensor, by: Multiplier, bits: int) -> Tensor:
    return multiply(codes << bits, by, half="away")


requantize_optimized = partial(requantize, half="up")
requantize_reference = partial(requantize, half="away")
