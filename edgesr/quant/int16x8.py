"""The integer arithmetic of int16 activations with int8 weights (``wi8_ai16``).

XNNPACK has no int16 kernels, so LiteRT's built-in ones compute this under its name too.
Convolutions sum in 64 bits and multiply by a factor of 16 bits, rounded once, half up; QUANTIZE and
ADD multiply by one of 32 bits and round twice, half up and then away from zero. The optimized ADD
rounds its operands once where it works on whole vectors of 16.

DEPTH_TO_SPACE has no int16 kernel. A graph therefore ends with one in int8, behind a QUANTIZE onto
grey levels, and has none elsewhere; see ``int16_ptq``.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.errors import DataError, GraphError
from edgesr.graph.execute import RELU6_MAX, apply
from edgesr.graph.ops import (
    Activation,
    Add,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Pad,
    Relu,
    Relu6,
)
from edgesr.quant.builtin import add
from edgesr.quant.fixed_point import multiply, quantize_multiplier
from edgesr.quant.scheme import CODE_MIN, QParams, QuantizedGraph
from edgesr.quant.simulate import accumulate

WIDE_BITS = 16
GREY_STEP = np.float32(1 / 128)
WIDE_GREY_LEVELS = QParams(scale=GREY_STEP, zero_point=0, bits=WIDE_BITS)
"""Grey levels in int16: level ``p`` is code ``128 p``, which int8 codes widen to exactly."""

_ADD_BITS = 15
_REDUCED_BITS = 15
_REDUCED_MAX = 0x7FFF

ADDS_IN_VECTORS: Mapping[str, bool] = MappingProxyType(
    {"xnnpack": True, "builtin": True, "reference": False}
)
"""Whether ADD is the optimized one, by kernel family."""


@torch.no_grad()
def simulate_int16(quantized: QuantizedGraph, codes: Tensor, *, kernels: str = "xnnpack") -> Tensor:
    """Run a ``wi8_ai16`` graph of images on int8 codes and return its int8 codes, both NHWC.

    Args:
        quantized: graph whose input is on ``WIDE_GREY_LEVELS`` and output on ``GREY_LEVELS``.
        codes: int8 ``(n, h, w, c)``; code ``p - 128`` is grey level ``p``.
        kernels: kernel family.

    Raises:
        DataError: no such kernel family.
        GraphError: an operation has no int16 simulation.
    """
    if kernels not in ADDS_IN_VECTORS:
        choices = ", ".join(ADDS_IN_VECTORS)
        raise DataError(f"kernels {kernels!r} cannot be simulated; choose one of {choices}")
    graph = quantized.graph
    grey = codes.permute(0, 3, 1, 2).float() - CODE_MIN
    values = {graph.inputs[0].name: grey / float(GREY_STEP)}
    for op in graph.ops:
        values[op.output] = step_int16(op, values, quantized, kernels=kernels)
    return values[graph.outputs[0]].permute(0, 2, 3, 1).to(torch.int8).contiguous()


def step_int16(
    op: Op, values: Mapping[str, Tensor], quantized: QuantizedGraph, *, kernels: str
) -> Tensor:
    """Run one operation on ``(n, c, h, w)`` float32 tensors of codes.

    An output of 8 bits is computed on ``WIDE_GREY_LEVELS`` and then brought to its own grid.
    """
    final = quantized.qparams[op.output]
    target = final if final.bits == WIDE_BITS else WIDE_GREY_LEVELS
    source = quantized.qparams[op.inputs[0]]
    first = values[op.inputs[0]]
    match op:
        case Conv2D() | DepthwiseConv2D():
            weight = quantized.weights[op.name]
            sums = accumulate(op, weight, first, source)
            result = _saturate(requantize(sums, source, weight.scales, target), target)
            result = _activate(result, target, op.activation)
        case Add():
            other = quantized.qparams[op.inputs[1]]
            pair = first, values[op.inputs[1]]
            vectors = ADDS_IN_VECTORS[kernels]
            total = add(*pair, source, other, target, bits=_ADD_BITS, vectors=vectors)
            result = _activate(_saturate(total, target), target, op.activation)
        case Relu():
            result = _activate(first, target, "relu")
        case Relu6():
            result = _activate(first, target, "relu6")
        case Pad() | Concatenation():
            result = apply(op, values)
        case DepthToSpace():
            narrow = narrowed(first, source, final) if source.bits == WIDE_BITS else first
            return apply(op, {op.inputs[0]: narrow})
        case _:
            raise GraphError(f"layer {op.name}: {type(op).__name__} has no int16 simulation")
    return result if final.bits == WIDE_BITS else narrowed(result, target, final)


def requantize(
    sums: Tensor, source: QParams, scales: npt.NDArray[np.float32], target: QParams
) -> Tensor:
    """Bring a convolution's 64-bit sums to the output grid, not clipped.

    The 32-bit factor is rounded to 16 bits first; the product is shifted once, half up.

    Args:
        sums: exact integers ``(n, c, h, w)`` below 2**47.
        source: grid of the input.
        scales: weight scale per output channel.
        target: grid of the output.
    """
    factors = np.float64(source.scale) * scales.astype(np.float64) / np.float64(target.scale)
    steps = torch.empty_like(sums, dtype=torch.float32)
    for channel, factor in enumerate(factors.tolist()):
        by = quantize_multiplier(factor)
        reduced = min((by.mantissa + (1 << WIDE_BITS - 1)) >> WIDE_BITS, _REDUCED_MAX)
        shift = _REDUCED_BITS - by.exponent
        product = sums[:, channel].long() * reduced
        product += 1 << (shift - 1)
        steps[:, channel] = product >> shift
    return steps


def narrowed(codes: Tensor, source: QParams, target: QParams) -> Tensor:
    """Bring codes from one grid to another: QUANTIZE between integers, saturating."""
    by = quantize_multiplier(float(source.scale) / float(target.scale))
    steps = multiply(codes.long() - source.zero_point, by, half="away") + target.zero_point
    return steps.clamp(target.code_min, target.code_max).float()


def _saturate(codes: Tensor, target: QParams) -> Tensor:
    return codes.clamp(target.code_min, target.code_max)


def _activate(codes: Tensor, target: QParams, activation: Activation) -> Tensor:
    if activation == "none":
        return codes
    high = target.code_max
    if activation == "relu6":
        high = min(high, int(np.rint(np.float32(RELU6_MAX) / target.scale)))
    return codes.clamp(0, high)
