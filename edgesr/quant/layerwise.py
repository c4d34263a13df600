"""Fit the integers of one layer after the other to what the layers before it really give.

Weights are rounded so that the sums keep their values (``weight_rounding``), then each channel's
bias takes out the mean error that is left.

Source: Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias
Correction", arXiv 1906.04721, section 4.2, with the statistics taken from images.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
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
        batch: images in the network's range.
        rounded: names of the convolutions whose weights are rounded anew.
        corrected: names of those whose biases are shifted.

    Returns:
        The corrected graph and, per layer, the largest correction of a channel in real units.
    """
    fitted, corrections = fit_together([quantized], [batch], rounded=rounded, corrected=corrected)
    return fitted[0], corrections


@torch.no_grad()
def fit_together(
    quantized: Sequence[QuantizedGraph],
    batches: Sequence[CalibrationBatch],
    *,
    rounded: Iterable[str],
    corrected: Iterable[str],
) -> tuple[list[QuantizedGraph], dict[str, float]]:
    """Do so for graphs that share their integer weights; what is rounded stays shared.

    The weights of a layer are rounded against the inputs of all graphs; biases are shifted in each
    graph by its own error.

    Args:
        quantized: graphs of one structure, such as a denoiser's steps.
        batches: one batch of images a graph.
        rounded: names of the convolutions whose weights are rounded anew.
        corrected: names of those whose biases are shifted.
    """
    to_round, to_correct = set(rounded), set(corrected)
    runs = [_Run(one, batch) for one, batch in zip(quantized, batches, strict=True)]
    corrections: dict[str, float] = {}
    for number, op in enumerate(quantized[0].graph.ops):
        if isinstance(op, Conv2D) and op.name in to_round:
            values = _rounded(op, runs)
            for run in runs:
                run.put(op.name, replace(run.quantized.weights[op.name], values=values))
        for run in runs:
            change = run.step(number, correct=op.name in to_correct)
            if change is not None:
                corrections[op.name] = max(change, corrections.get(op.name, 0.0))
    return [run.quantized for run in runs], corrections


class _Run:
    """One graph on its way through the layers, in float32 and in integers."""

    def __init__(self, quantized: QuantizedGraph, batch: CalibrationBatch) -> None:
        self.quantized = quantized
        name = quantized.graph.inputs[0].name
        grid = quantized.qparams[name]
        inputs = batch.inputs.permute(0, 3, 1, 2).float()
        codes = (inputs / float(grid.scale)).round() + grid.zero_point
        self.floats: dict[str, Tensor] = {name: inputs}
        self.codes: dict[str, Tensor] = {name: codes.clamp(grid.code_min, grid.code_max)}

    def put(self, layer: str, weight: QuantizedWeight) -> None:
        self.quantized = replace(self.quantized, weights={**self.quantized.weights, layer: weight})

    def step(self, number: int, *, correct: bool) -> float | None:
        """Run an operation, its bias corrected before; return the largest correction."""
        ops = self.quantized.graph.ops
        op, change = ops[number], None
        if correct and isinstance(op, (Conv2D, DepthwiseConv2D)):
            source = op.inputs[0]
            weight, change = _corrected(op, self.quantized, self.floats[source], self.codes[source])
            self.put(op.name, weight)
        self.floats[op.output] = apply(op, self.floats)
        self.codes[op.output] = step(op, self.codes, self.quantized, KERNELS["xnnpack"])
        wanted = {name for after in ops[number + 1 :] for name in after.inputs}
        for values in (self.floats, self.codes):
            for name in values.keys() - wanted:
                del values[name]
        return change


def _rounded(op: Conv2D, runs: Sequence[_Run]) -> npt.NDArray[np.int8]:
    """Round the weights that all runs share against what all of them read.

    ``op`` is the first run's. Inputs of the others are brought to the step of the first.
    """
    source = op.inputs[0]
    first = runs[0].quantized
    inputs = [
        (run.codes[source] - run.quantized.qparams[source].zero_point)
        * float(run.quantized.qparams[source].scale / first.qparams[source].scale)
        for run in runs
    ]
    weight = first.weights[op.name]
    return rounded_weights(op, weight.scales, torch.cat(inputs), bits=weight.bits)


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
