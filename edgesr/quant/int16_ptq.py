"""Post-training quantization to int16 activations and int8 weights (``wi8_ai16``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph
from edgesr.graph.ops import (
    Add,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Pad,
    Relu,
    Relu6,
    is_selection,
)
from edgesr.graph.passes import drop_clip
from edgesr.quant.affine import bias_scales, quantize_bias
from edgesr.quant.calibrate import Calibration, CalibrationBatch, calibrate
from edgesr.quant.grids import shared_grids
from edgesr.quant.int16x8 import WIDE_BITS, WIDE_GREY_LEVELS
from edgesr.quant.scheme import (
    GREY_LEVELS,
    WI8_AI16,
    QParams,
    QuantizedGraph,
    QuantizedWeight,
)
from edgesr.quant.weight_fit import FittedWeight, fit_weights

_HEADROOM = 2.0
"""Ranges are twice what was seen: of 16 bits one can be spared, and then unseen images never
clip."""

_SIMULATED = (Add, Concatenation, Conv2D, DepthToSpace, DepthwiseConv2D, Pad, Relu, Relu6)


@dataclass(frozen=True, kw_only=True)
class Int16Result:
    """A quantized graph and how it came about.

    Attributes:
        quantized: the graph.
        calibration: what was observed.
        saturation: share of values outside the grid in use, 0 to 1, by tensor.
        bias_corrections: largest bias shift in real units by layer.
    """

    quantized: QuantizedGraph
    calibration: Calibration
    saturation: Mapping[str, float]
    bias_corrections: Mapping[str, float]


def quantize_graph_int16(graph: Graph, batches: Sequence[CalibrationBatch]) -> Int16Result:
    """Quantize a lowered graph of images in [0, 255] with scheme ``wi8_ai16``.

    Args:
        graph: network, lowered; its final clip to [0, 255] becomes the saturation of the output.
        batches: calibration images, grey levels 0 to 255.

    Raises:
        GraphError: the graph holds an operation without int16 form, or values that are not finite.
        DataError: there are no images.
    """
    graph = drop_clip(graph, low=GREY_LEVELS.low, high=GREY_LEVELS.high)
    _refuse(graph)
    calibration = calibrate(graph, batches)
    qparams = int16_grids(graph, calibration)
    fitted = fit_weights(graph, batches)
    layers = [op for op in graph.ops if isinstance(op, (Conv2D, DepthwiseConv2D))]
    weights = {op.name: _weight(fitted[op.name], qparams[op.inputs[0]]) for op in layers}
    return Int16Result(
        quantized=QuantizedGraph(graph=graph, qparams=qparams, weights=weights, scheme=WI8_AI16),
        calibration=calibration,
        saturation=calibration.saturation(qparams),
        bias_corrections={name: one.correction for name, one in fitted.items()},
    )


def int16_grids(graph: Graph, calibration: Calibration) -> dict[str, QParams]:
    """Return the grid of every tensor: 16 bits, zero point 0, but for the 8-bit image at the end.

    Input and output are on grey levels in steps of 1/128, whatever was observed.
    """
    groups = shared_grids(graph)
    grey = {groups[name] for name in (*(spec.name for spec in graph.inputs), *graph.outputs)}
    grids = dict.fromkeys(grey, WIDE_GREY_LEVELS)
    for group in dict.fromkeys(groups.values()):
        if group not in grey:
            members = [name for name, one in groups.items() if one == group]
            grids[group] = symmetric_grid(members, calibration)
    for op in graph.ops:
        if is_selection(op) and groups[op.output] not in grey:
            grids[groups[op.output]] = grids[groups[op.inputs[0]]]
    wide = {name: grids[group] for name, group in groups.items()}
    moved = {op.output for op in graph.ops if isinstance(op, DepthToSpace)}
    return {
        name: GREY_LEVELS if name in moved or name in graph.outputs else one
        for name, one in wide.items()
    }


def symmetric_grid(members: list[str], calibration: Calibration) -> QParams:
    """Return the grid of 16 bits of tensors that share it: zero point 0, twice what was seen."""
    seen = [calibration.observers[name].histogram for name in members]
    largest = max(max(-one.low, one.high) for one in seen)
    limit = (1 << (WIDE_BITS - 1)) - 1
    scale = np.float32(max(_HEADROOM * largest, 1e-6) / limit)
    return QParams(scale=scale, zero_point=0, bits=WIDE_BITS)


def _weight(fitted: FittedWeight, source: QParams) -> QuantizedWeight:
    steps = bias_scales(source.scale, fitted.scales)
    bias = quantize_bias(fitted.bias, steps)
    return QuantizedWeight(values=fitted.values, scales=fitted.scales, bias=bias)


def _refuse(graph: Graph) -> None:
    for op in graph.ops:
        if not isinstance(op, _SIMULATED):
            raise GraphError(
                f"layer {op.name}: {type(op).__name__} has no int16 form; export another precision"
            )
        readers = [other for other in graph.ops if op.output in other.inputs]
        if isinstance(op, DepthToSpace) and not all(isinstance(r, DepthToSpace) for r in readers):
            raise GraphError(
                f"layer {op.name}: DEPTH_TO_SPACE has no int16 kernel, so it can only be the last "
                "operation; export another precision"
            )
