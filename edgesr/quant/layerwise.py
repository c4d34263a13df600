"""Fit the integers of one layer after the other to what the layers before it really give.

Weights are rounded so that the sums keep their values (``weight_rounding``), then each channel's
bias takes out the mean error that is left.

Source: Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias
Correction", arXiv 1906.04721, section 4.2, with the statistics taken from images.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from edgesr.graph.execute import apply, convolve
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp, is_selection
from edgesr.quant.affine import bias_scales
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.scheme import QParams, QuantizedGraph, QuantizedWeight
from edgesr.quant.simulate import KERNELS, accumulate, step
from edgesr.quant.weight_rounding import rounded_weights


def trained_layers(graph: Graph) -> list[str]:
    """Return the names of the convolutions that have trained weights, in execution order."""
    return [
        op.name
        for op in graph.ops
        if isinstance(op, (Conv2D, DepthwiseConv2D)) and not is_selection(op)
    ]


@torch.no_grad()
def fit_layers(
    quantized: QuantizedGraph,
    batch: CalibrationBatch,
    *,
    rounded: Iterable[str],
    corrected: Iterable[str],
) -> tuple[QuantizedGraph, dict[str, float]]:
    """Round the weights of some layers anew and shift biases to the float channel means.

    The graph runs once, float and integer side by side, and every change is in force for the
    layers behind it. Depthwise weights keep their nearest rounding.

    Args:
        quantized: graph to correct.
        batch: grey levels 0 to 255 as float32.
        rounded: names of the convolutions whose weights are rounded anew.
        corrected: names of those whose biases are shifted.

    Returns:
        The corrected graph and, per layer, the largest correction of a channel in real units.
    """
    to_round, to_correct = set(rounded), set(corrected)
    floats: dict[str, Tensor] = {}
    codes: dict[str, Tensor] = {}
    corrections: dict[str, float] = {}
    spec = quantized.graph.inputs[0]
    floats[spec.name] = batch.inputs.permute(0, 3, 1, 2).float()
    grid = quantized.qparams[spec.name]
    steps = (floats[spec.name] / float(grid.scale)).round() + grid.zero_point
    codes[spec.name] = steps.clamp(grid.code_min, grid.code_max)
    for op in quantized.graph.ops:
        if isinstance(op, Conv2D) and op.name in to_round:
            quantized = _rounded(op, quantized, codes[op.inputs[0]])
        if isinstance(op, (Conv2D, DepthwiseConv2D)) and op.name in to_correct:
            weight, change = _corrected(op, quantized, floats[op.inputs[0]], codes[op.inputs[0]])
            quantized = replace(quantized, weights={**quantized.weights, op.name: weight})
            corrections[op.name] = change
        floats[op.output] = apply(op, floats)
        codes[op.output] = step(op, codes, quantized, KERNELS["xnnpack"])
    return quantized, corrections


def _rounded(op: Conv2D, quantized: QuantizedGraph, codes: Tensor) -> QuantizedGraph:
    weight = quantized.weights[op.name]
    inputs = codes - quantized.qparams[op.inputs[0]].zero_point
    values = rounded_weights(op, weight.scales, inputs, bits=weight.bits)
    return replace(
        quantized, weights={**quantized.weights, op.name: replace(weight, values=values)}
    )


def _corrected(
    op: WeightedOp, quantized: QuantizedGraph, floats: Tensor, codes: Tensor
) -> tuple[QuantizedWeight, float]:
    source: QParams = quantized.qparams[op.inputs[0]]
    weight = quantized.weights[op.name]
    steps = bias_scales(source.scale, weight.scales).astype(np.float64)
    wanted = convolve(op, floats, torch.from_numpy(op.weight), torch.from_numpy(op.bias))
    found = accumulate(op, weight, codes, source)
    means = [sums.mean(dim=(0, 2, 3), dtype=torch.float64).numpy() for sums in (wanted, found)]
    error = means[0] - means[1] * steps
    bias = weight.bias + np.rint(error / steps).astype(np.int32)
    return replace(weight, bias=bias), float(np.abs(error).max())
