"""Quantize the weights and biases of a graph's layers."""

from collections.abc import Mapping

import numpy as np

from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp, is_selection
from edgesr.quant.affine import bias_scales, quantize_bias, quantize_weight, weight_scales
from edgesr.quant.scheme import QParams, QuantizedWeight

_BIAS_LIMIT = 2.0**30


def channel_axis(op: WeightedOp) -> int:
    """Return the axis of the output channels in TFLite's weight layout."""
    return 3 if isinstance(op, DepthwiseConv2D) else 0


def quantize_weights(graph: Graph, qparams: Mapping[str, QParams]) -> dict[str, QuantizedWeight]:
    """Return the integers of every layer that has a weight, by layer name."""
    return {
        op.name: _quantized(op, qparams[op.inputs[0]])
        for op in graph.ops
        if isinstance(op, (Conv2D, DepthwiseConv2D))
    }


def _quantized(op: WeightedOp, source: QParams) -> QuantizedWeight:
    axis = channel_axis(op)
    if is_selection(op):
        scales = np.ones(op.weight.shape[axis], np.float32)
    else:
        finest = np.abs(op.bias.astype(np.float64)) / (float(source.scale) * _BIAS_LIMIT)
        scales = weight_scales(op.weight, axis=axis, bias_steps=finest)
    return QuantizedWeight(
        values=quantize_weight(op.weight, scales, axis=axis),
        scales=scales,
        bias=quantize_bias(op.bias, bias_scales(source.scale, scales)),
    )
