"""Weights that are rounded alone, against rounding to the nearest code."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgesr.errors import DataError
from edgesr.graph.capture import capture
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp, is_selection
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.quant.affine import quantize_weight, weight_scales
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.weight_fit import dequantized, fit_weights
from edgesr.quant.weights import channel_axis


def images(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand((4, 3, 10, 10), generator=generator) * 255
    return nn.functional.interpolate(small, size=40, mode="bilinear").permute(0, 2, 3, 1)


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, padding=1, groups=12),
        nn.ReLU(),
        nn.Conv2d(12, 3, 3, padding=1),
    )
    return lower(capture(module.eval(), name="net"))


def rounded(graph: Graph, layers: dict[str, WeightedOp]) -> Graph:
    ops = tuple(layers.get(op.name, op) for op in graph.ops)
    return Graph(name=graph.name, inputs=graph.inputs, outputs=graph.outputs, ops=ops)


def layers(graph: Graph) -> list[WeightedOp]:
    return [op for op in graph.ops if isinstance(op, (Conv2D, DepthwiseConv2D))]


@pytest.mark.parametrize("bits", [4, 8])
def test_fitted_weights_leave_less_error_than_the_nearest(graph: Graph, bits: int) -> None:
    from dataclasses import replace

    widths = {op.name: bits for op in layers(graph)}
    fitted = fit_weights(graph, [CalibrationBatch(inputs=images(0))], bits=widths)
    nearest: dict[str, WeightedOp] = {}
    for op in layers(graph):
        axis = channel_axis(op)
        free = np.zeros(op.weight.shape[axis])
        scales = weight_scales(op.weight, axis=axis, bias_steps=free, bits=bits)
        values = quantize_weight(op.weight, scales, axis=axis, bits=bits)
        one = replace(fitted[op.name], values=values, scales=scales, bias=op.bias)
        nearest[op.name] = dequantized(op, one)
    found = {op.name: dequantized(op, fitted[op.name]) for op in layers(graph)}
    other = images(1)
    wanted = execute(graph, other)
    errors = [
        float((execute(rounded(graph, ops), other) - wanted).square().mean())
        for ops in (found, nearest)
    ]
    assert errors[0] < 0.7 * errors[1]
    limit = 2 ** (bits - 1) - 1
    assert all(np.abs(one.values).max() <= limit for one in fitted.values())


def test_the_mean_of_every_output_channel_is_kept(graph: Graph) -> None:
    fitted = fit_weights(
        graph, [CalibrationBatch(inputs=images(0))], bits={op.name: 4 for op in layers(graph)}
    )
    found = rounded(graph, {op.name: dequantized(op, fitted[op.name]) for op in layers(graph)})
    shift = (execute(found, images(0)) - execute(graph, images(0))).mean(dim=(0, 1, 2))
    assert shift.abs().max() < 1e-2


def test_channel_copies_are_exact() -> None:
    graph = lower(capture(build_model("ncnet", 2).eval(), name="ncnet"))
    fitted = fit_weights(graph, [CalibrationBatch(inputs=images(0))])
    (copy,) = (op for op in layers(graph) if is_selection(op))
    assert np.array_equal(dequantized(copy, fitted[copy.name]).weight, copy.weight)


def test_fitting_without_images_is_refused(graph: Graph) -> None:
    with pytest.raises(DataError, match="fitting weights got no image"):
        fit_weights(graph, [])
