"""Scales, zero points and values of weights and activations that kernels cannot use."""

import math
from collections.abc import Iterator

import numpy as np

from edgesr.lint.accept import groups as count_groups
from edgesr.lint.findings import Finding, at
from edgesr.lint.model import CODES, Operator, Subgraph, Tensor

CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
"""Axis of the output channels in the weights of a layer."""

_BIAS_TOLERANCE = 1e-5


def weights(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    """Find what is wrong with the weights and the bias of a layer."""
    axis, weight = CHANNEL_AXIS.get(op.name), graph.input(op, 1)
    if axis is None or weight is None or weight.dtype != "INT8" or not weight.constant:
        return
    if any(weight.zero_points):
        yield at(
            graph,
            op,
            "EL207",
            "error",
            what=f"weights of {op.name} have zero point {next(filter(None, weight.zero_points))}",
            why="int8 kernels take them as 0, and no NPU takes others",
            remedy="quantize the weights symmetrically",
            tensors=(weight,),
        )
    channels = weight.shape[axis] if axis < len(weight.shape) else 0
    fits = len(weight.scales) in {1, channels} and (len(weight.scales) == 1 or weight.axis == axis)
    if not fits or not all(math.isfinite(one) and one > 0 for one in weight.scales):
        yield at(
            graph,
            op,
            "EL208",
            "error",
            what=f"weights of {op.name} have {len(weight.scales)} scales on axis {weight.axis}, "
            f"want 1 or {channels} positive ones on axis {axis}",
            why="kernels read past them or refuse the layer",
            remedy="write one scale per output channel",
            tensors=(weight,),
        )
    else:
        yield from _bias(graph, op, weight)
    values = weight.values()
    if values is not None and values.size and values.min() == CODES["INT8"][0]:
        yield at(
            graph,
            op,
            "EL210",
            "warning",
            what=f"{int((values == CODES['INT8'][0]).sum())} weights of {op.name} are -128",
            why="symmetric int8 ends at -127; kernels that use this overflow in 16 bits",
            remedy="clip weights to -127 to 127",
            tensors=(weight,),
        )


def _bias(graph: Subgraph, op: Operator, weight: Tensor) -> Iterator[Finding]:
    transposed = op.name == "TRANSPOSE_CONV"
    bias, data = graph.input(op, 3 if transposed else 2), graph.input(op, 2 if transposed else 0)
    if bias is None or data is None or not bias.scales or not data.scales:
        return
    steps = np.float64(data.scales[0]) * np.asarray(weight.scales)
    found = np.asarray(bias.scales)
    if len({len(found), len(steps), 1}) > 2 or not np.allclose(  # noqa: PLR2004 - n and 1
        found, steps, rtol=_BIAS_TOLERANCE, atol=0
    ):
        yield at(
            graph,
            op,
            "EL209",
            "error",
            what=f"the bias of {op.name} has scale {found[0]:.6g}, want input scale x weight scale "
            f"= {steps[0]:.6g}",
            why="kernels add the bias to the products without rescaling it",
            remedy="quantize the bias with that scale",
            tensors=(bias,),
        )


def activations(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    """Find int8 activations without one usable scale."""
    for one in graph.made(op):
        if one.dtype == "INT8" and (
            len(one.scales) != 1 or not (math.isfinite(one.scales[0]) and one.scales[0] > 0)
        ):
            code = "EL208" if len(one.scales) > 1 else "EL211"
            yield at(
                graph,
                op,
                code,
                "error",
                what=f"{one} has {len(one.scales)} scales, want one positive number"
                if code == "EL208"
                else f"{one} has no usable scale",
                why="its codes mean nothing without one",
                remedy="write one scale and zero point for the activation",
                tensors=(one,),
            )


def groups(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    """Find convolutions whose channels cannot be divided into groups."""
    weight, source = graph.input(op, 1), graph.input(op, 0)
    if op.name != "CONV_2D" or weight is None or source is None or count_groups(graph, op) == 1:
        return
    if source.shape[3] % weight.shape[3] or weight.shape[0] % count_groups(graph, op):
        yield at(
            graph,
            op,
            "EL208",
            "error",
            what=f"CONV_2D reads {source.shape[3]} channels with a kernel of {weight.shape}",
            why="the channels cannot be divided into groups",
            remedy="convert the model again",
            tensors=(source, weight),
        )
