"""Run a quantized graph with some of its tensors and weights kept in float.

Every tensor is held in steps of its grid: ``real = steps * scale``, whole numbers where the tensor
is rounded, fractions where it is kept in float. With nothing kept, convolutions are computed by the
very integers and the very float32 factors of the integer simulation of XNNPACK, so they are equal
to it. An ADD is summed in float64 and rounded half to even, where XNNPACK uses 21-bit integers and
rounds half up: there the two differ by one code where a sum lies (nearly) between two codes, and
agree everywhere when both operands are on the step of the sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.errors import GraphError
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
    WeightedOp,
)
from edgesr.quant.affine import bias_scales
from edgesr.quant.scheme import QParams, QuantizedGraph
from edgesr.quant.simulate import accumulate
from edgesr.quant.weights import channel_axis

_WHITE = 255.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Changes:
    """What is not as in the int8 network.

    Attributes:
        floats: tensors that are neither rounded nor clipped. Tensors that share a grid belong
            together: a rounded copy of a float tensor is rounded.
        float_weights: layers that use the graph's float weight and bias.
        grids: tensors that are rounded to another grid than their own.
        bias_shifts: real numbers per output channel that are added to a layer's bias, rounded to
            its integer grid.
    """

    floats: frozenset[str] = frozenset()
    float_weights: frozenset[str] = frozenset()
    grids: Mapping[str, QParams] = field(default_factory=dict)
    bias_shifts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def touches(self, op: Op) -> bool:
        """Tell whether ``op`` itself computes otherwise."""
        kept = op.output in self.floats or op.output in self.grids
        return kept or op.name in self.float_weights or op.name in self.bias_shifts


NOTHING = Changes()


@torch.no_grad()
def run_mixed(
    quantized: QuantizedGraph,
    lr: Tensor,
    changes: Changes = NOTHING,
    *,
    base: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Return every tensor in steps of its grid, ``(n, c, h, w)``, zero point taken off.

    Args:
        quantized: graph with one input.
        lr: ``(n, h, w, c)`` grey levels.
        changes: what is kept in float or put on another grid.
        base: result for the same ``lr`` without changes; what the changes cannot reach is taken
            from it instead of being computed again.

    Raises:
        GraphError: an operation without int8 form.
    """
    graph = quantized.graph
    name = graph.inputs[0].name
    grid = quantized.qparams[name]
    reached: set[str] = set()
    if base is None or name in changes.floats or name in changes.grids:
        reached.add(name)
        start = lr.permute(0, 3, 1, 2).float() / float(grid.scale)
        values = {name: _placed(name, start, grid, "none", changes)}
    else:
        values = {name: base[name]}
    for op in graph.ops:
        if base is not None and not changes.touches(op) and reached.isdisjoint(op.inputs):
            values[op.output] = base[op.output]
            continue
        reached.add(op.output)
        values[op.output] = _step(op, values, quantized, changes)
    return values


def picture(quantized: QuantizedGraph, values: Mapping[str, Tensor]) -> Tensor:
    """Return the output of ``run_mixed`` as grey levels ``(n, h, w, 3)``, clipped to [0, 255]."""
    name = quantized.graph.outputs[0]
    levels = values[name] * float(quantized.qparams[name].scale)
    return levels.clamp(0.0, _WHITE).permute(0, 2, 3, 1).contiguous()


def layer_sums(
    op: WeightedOp, quantized: QuantizedGraph, steps: Tensor, changes: Changes = NOTHING
) -> Tensor:
    """Return a layer's sums, bias included, in units of ``input scale * weight scale``.

    Exact integers where input and weights are integers.

    Args:
        op: the layer.
        quantized: graph that it belongs to.
        steps: its input, ``(n, c, h, w)``.
        changes: what is kept in float.
    """
    weight = quantized.weights[op.name]
    source = quantized.qparams[op.inputs[0]]
    units = bias_scales(source.scale, weight.scales).astype(np.float64)
    if op.name in changes.float_weights:
        shape = [1] * op.weight.ndim
        shape[channel_axis(op)] = -1
        values = op.weight / weight.scales.reshape(shape)
        bias = (op.bias / units).astype(np.float32)
        sums = convolve(op, steps, torch.from_numpy(values), torch.from_numpy(bias))
    elif op.inputs[0] in changes.floats or op.inputs[0] in changes.grids:
        integers = (torch.from_numpy(weight.values), torch.from_numpy(weight.bias))
        sums = convolve(op, steps, *(one.float() for one in integers))
    else:
        sums = accumulate(op, weight, steps + source.zero_point, source)
    shift = changes.bias_shifts.get(op.name)
    if shift is not None:
        sums = sums + torch.from_numpy(np.rint(shift / units)).to(sums.dtype).view(1, -1, 1, 1)
    return sums


def _step(
    op: Op, values: Mapping[str, Tensor], quantized: QuantizedGraph, changes: Changes
) -> Tensor:
    target = quantized.qparams[op.output]
    first = values[op.inputs[0]]
    activation: Activation = "none"
    match op:
        case Conv2D() | DepthwiseConv2D():
            activation = op.activation
            # the operands in XNNPACK's order: another one gives other float32 factors
            scales = quantized.weights[op.name].scales
            factors = quantized.qparams[op.inputs[0]].scale * scales / target.scale
            sums = layer_sums(op, quantized, first, changes).float()
            steps = sums * torch.from_numpy(factors).view(1, -1, 1, 1)
        case Add():
            activation = op.activation
            a, b = (float(quantized.qparams[name].scale) for name in op.inputs)
            total = first.double() * a + values[op.inputs[1]].double() * b
            steps = total / float(target.scale)
        case Relu() | Relu6():
            activation = "relu" if isinstance(op, Relu) else "relu6"
            steps = first
        case Pad() | Concatenation() | DepthToSpace():
            steps = apply(op, values)
        case _:
            raise GraphError(f"layer {op.name}: {type(op).__name__} has no int8 simulation")
    return _placed(op.output, steps, target, activation, changes)


def _placed(
    name: str, steps: Tensor, grid: QParams, activation: Activation, changes: Changes
) -> Tensor:
    """Apply the activation and round to the grid that holds for the tensor."""
    scale = float(grid.scale)
    if name in changes.floats:
        return _activated(steps, activation, RELU6_MAX / scale).float()
    other = changes.grids.get(name)
    if other is not None:
        factor = scale / float(other.scale)
        moved = _activated(steps.double(), activation, RELU6_MAX / scale) * factor
        return (_clipped(moved.round(), other) / factor).float()
    six = float(np.rint(np.float32(RELU6_MAX) / grid.scale))
    return _clipped(_activated(steps.round(), activation, six), grid).float()


def _activated(steps: Tensor, activation: Activation, six: float) -> Tensor:
    if activation == "none":
        return steps
    return steps.clamp(0.0, six) if activation == "relu6" else steps.clamp(min=0.0)


def _clipped(steps: Tensor, grid: QParams) -> Tensor:
    return steps.clamp(grid.code_min - grid.zero_point, grid.code_max - grid.zero_point)
