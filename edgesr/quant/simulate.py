"""Run a quantized graph with the integer arithmetic of one LiteRT kernel family.

The result equals the file's, value for value, on the family that is named.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.errors import DataError, GraphError
from edgesr.graph.execute import RELU6_MAX, apply, convolve
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
    SpaceToDepth,
    WeightedOp,
)
from edgesr.quant import builtin, xnnpack
from edgesr.quant.scheme import BITS, QParams, QuantizedGraph, QuantizedWeight
from edgesr.quant.weights import channel_axis

FLOAT32_EXACT = 2**24
"""Integers below are exact in float32, in whatever order they are summed."""

Observe = Callable[[str, Tensor], None]
Requantize = Callable[[Tensor, QParams, npt.NDArray[np.float32], QParams], Tensor]


@dataclass(frozen=True, kw_only=True)
class KernelFamily:
    """The roundings in which LiteRT's kernels differ.

    Attributes:
        requantize: convolution sums to the output grid.
        requantize_depthwise: the same for depthwise convolutions.
        add: two tensors of codes to the output grid.
    """

    requantize: Requantize
    requantize_depthwise: Requantize
    add: Callable[[Tensor, Tensor, QParams, QParams, QParams], Tensor]


KERNELS: Mapping[str, KernelFamily] = MappingProxyType(
    {
        "xnnpack": KernelFamily(
            requantize=xnnpack.requantize,
            requantize_depthwise=xnnpack.requantize,
            add=xnnpack.add,
        ),
        "builtin": KernelFamily(
            requantize=builtin.requantize_optimized,
            requantize_depthwise=builtin.requantize_vectors,
            add=builtin.add_optimized,
        ),
        "reference": KernelFamily(
            requantize=builtin.requantize_reference,
            requantize_depthwise=builtin.requantize_reference,
            add=builtin.add,
        ),
    }
)


@torch.no_grad()
def simulate(
    quantized: QuantizedGraph,
    *inputs: Tensor,
    kernels: str = "xnnpack",
    observe: Observe | None = None,
) -> Tensor:
    """Run ``quantized`` on int8 NHWC tensors and return its int8 NHWC output.

    Args:
        quantized: graph to run.
        inputs: one int8 ``(n, h, w, c)`` tensor of codes per input of the graph.
        kernels: kernel family, a key of ``KERNELS``.
        observe: called with every tensor's name and codes, ``(n, c, h, w)`` float32.

    Raises:
        DataError: no such kernel family.
    """
    family = KERNELS.get(kernels)
    if family is None:
        raise DataError(f"kernels {kernels!r} cannot be simulated; choose one of {list(KERNELS)}")
    graph = quantized.graph
    values: dict[str, Tensor] = {}
    for spec, value in zip(graph.inputs, inputs, strict=True):
        values[spec.name] = value.permute(0, 3, 1, 2).float()
        if observe:
            observe(spec.name, values[spec.name])
    for op in graph.ops:
        values[op.output] = step(op, values, quantized, family)
        if observe:
            observe(op.output, values[op.output])
    codes = values[graph.outputs[0]].permute(0, 2, 3, 1)
    return codes.to(torch.int8).contiguous()


def step(
    op: Op, values: Mapping[str, Tensor], quantized: QuantizedGraph, family: KernelFamily
) -> Tensor:
    """Run one operation on ``(n, c, h, w)`` float32 tensors of codes."""
    grids = [quantized.qparams[name] for name in op.inputs]
    target = quantized.qparams[op.output]
    first = values[op.inputs[0]]
    match op:
        case Conv2D() | DepthwiseConv2D():
            weight = quantized.weights[op.name]
            sums = accumulate(op, weight, first, grids[0])
            depthwise = isinstance(op, DepthwiseConv2D)
            requantize = family.requantize_depthwise if depthwise else family.requantize
            steps = requantize(sums, grids[0], weight.scales, target)
            return _saturate(steps, target, op.activation)
        case Add():
            wide = max(grid.bits for grid in (*grids, target)) > BITS
            add = _add_wide if wide else family.add
            steps = add(first, values[op.inputs[1]], grids[0], grids[1], target)
            return _saturate(steps, target, op.activation)
        case Relu() | Relu6():
            kind: Activation = "relu" if isinstance(op, Relu) else "relu6"
            return _saturate(first - target.zero_point, target, kind)
        case Pad():
            shifted = {op.inputs[0]: first - target.zero_point}
            return apply(op, shifted) + target.zero_point
        case Concatenation() | DepthToSpace() | SpaceToDepth():
            return apply(op, values)
        case _:
            raise GraphError(f"layer {op.name}: {type(op).__name__} has no int8 simulation")


def accumulate(op: WeightedOp, weight: QuantizedWeight, codes: Tensor, source: QParams) -> Tensor:
    """Return the exact int32 sums of a convolution, bias included, as a float tensor.

    Float32 holds them while the worst case stays below 2**24; beyond that float64 is used.
    """
    axes = tuple(axis for axis in range(weight.values.ndim) if axis != channel_axis(op))
    reach = max(source.code_max - source.zero_point, source.zero_point - source.code_min)
    worst = np.abs(weight.values.astype(np.int64)).sum(axis=axes) * reach
    worst += np.abs(weight.bias.astype(np.int64))
    dtype = torch.float32 if worst.max() < FLOAT32_EXACT else torch.float64
    sums = convolve(
        op,
        (codes - source.zero_point).to(dtype),
        torch.from_numpy(weight.values).to(dtype),
        torch.from_numpy(weight.bias).to(dtype),
    )
    return sums.round_()


def _add_wide(first: Tensor, second: Tensor, a: QParams, b: QParams, target: QParams) -> Tensor:
    """Add codes of which some have more than 8 bits, which no kernel does: rounded once."""
    total = (first - a.zero_point).double() * float(a.scale)
    total += (second - b.zero_point).double() * float(b.scale)
    return (total / float(target.scale)).round().float()


def _saturate(steps: Tensor, target: QParams, activation: Activation) -> Tensor:
    low, high = target.code_min - target.zero_point, target.code_max - target.zero_point
    if activation != "none":
        low = max(low, 0)
    if activation == "relu6":
        high = min(high, int(np.rint(np.float32(RELU6_MAX) / target.scale)))
    return steps.clamp_(low, high).add_(target.zero_point)
