"""Quantize the weights and biases of a graph's layers."""

from collections.abc import Mapping

import numpy as np

from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp, is_selection
from edgesr.quant.affine import (
    bias_scales,
    least_error_scales,
    quantize_bias,
    quantize_weight,
    weight_scales,
)
from edgesr.quant.scheme import BITS, QParams, QuantizedWeight

_BIAS_LIMIT = 2.0**30


def channel_axis(op: WeightedOp) -> int:
    """Return the axis of the output channels in TFLite's weight layout."""
    return 3 if isinstance(op, DepthwiseConv2D) else 0


def quantize_weights(
    graph: Graph, qparams: Mapping[str, QParams], bits: Mapping[str, int] | None = None
) -> dict[str, QuantizedWeight]:
    """Return the integers of every layer that has a weight, by layer name.

    Args:
        graph: lowered graph.
        qparams: grid by tensor.
        bits: width of the weights by layer; None is 8 for all.
    """
    return {
        op.name: _quantized(op, qparams[op.inputs[0]], BITS if bits is None else bits[op.name])
        for op in graph.ops
        if isinstance(op, (Conv2D, DepthwiseConv2D))
    }


def _quantized(op: WeightedOp, source: QParams, bits: int) -> QuantizedWeight:
    axis = channel_axis(op)
    if is_selection(op):
        scales = np.ones(op.weight.shape[axis], np.float32)
    else:
        finest = np.abs(op.bias.astype(np.float64)) / (float(source.scale) * _BIAS_LIMIT)
        scales = weight_scales(op.weight, axis=axis, bias_steps=finest, bits=bits)
        if bits < BITS:
            scales = least_error_scales(op.weight, scales, axis=axis, bits=bits)
    return QuantizedWeight(
        values=quantize_weight(op.weight, scales, axis=axis, bits=bits),
        scales=scales,
        bias=quantize_bias(op.bias, bias_scales(source.scale, scales)),
        bits=bits,
    )
