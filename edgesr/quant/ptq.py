"""Post-training quantization: float graph and calibration images to a quantized graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, is_selection
from edgesr.graph.passes import drop_clip
from edgesr.quant.affine import bias_scales, quantize_bias
from edgesr.quant.calibrate import Calibration, CalibrationBatch, calibrate, some_of
from edgesr.quant.dorefa import dorefa_weights
from edgesr.quant.equalize import equalize
from edgesr.quant.grids import assign_qparams, grey_ends
from edgesr.quant.layerwise import fit_layers, trained_layers
from edgesr.quant.output_search import search_ranges
from edgesr.quant.output_step import share_output_step
from edgesr.quant.recipe import OURS, PtqRecipe
from edgesr.quant.reconstruction import reconstruct
from edgesr.quant.scheme import GREY_LEVELS, QParams, QuantizedGraph
from edgesr.quant.weights import channel_axis, quantize_weights
from edgesr.quant.widths import layer_bits, tensor_bits

_CORRECTION_PIXELS = 2**16
_RECONSTRUCTION_PIXELS = 2**18
_SEARCH_PIXELS = 2**15
_BLOCK_LAYERS = 3


@dataclass(frozen=True, kw_only=True)
class PtqResult:
    """A quantized graph and how it came about.

    Attributes:
        quantized: the graph.
        recipe: how it was quantized.
        calibration: what was observed.
        saturation: share of values outside the grid in use, 0 to 1, by tensor.
        bias_corrections: largest bias shift in real units by layer.
    """

    quantized: QuantizedGraph
    recipe: PtqRecipe
    calibration: Calibration
    saturation: Mapping[str, float]
    bias_corrections: Mapping[str, float]


def quantize_graph(
    graph: Graph,
    batches: Sequence[CalibrationBatch],
    recipe: PtqRecipe = OURS,
    *,
    ends: Mapping[str, QParams] | None = None,
) -> PtqResult:
    """Quantize a lowered graph.

    Args:
        graph: network, lowered; its final clip to the range of a fixed output grid becomes the
            saturation of the output.
        batches: calibration images in the network's range.
        recipe: how.
        ends: fixed grids of inputs and outputs, by tensor; those that are not named are
            calibrated. None is a network of images in [0, 255]: as ``recipe.fixed_ends`` says.

    Raises:
        GraphError: the graph holds an operation without integer form, or values that are not
            finite.
        DataError: there are no images.
    """
    if ends is None:
        graph = drop_clip(graph, low=GREY_LEVELS.low, high=GREY_LEVELS.high)
        ends = grey_ends(graph) if recipe.fixed_ends else {}
    elif graph.outputs[0] in ends:
        output = ends[graph.outputs[0]]
        graph = drop_clip(graph, low=output.low, high=output.high)
    if recipe.equalize:
        graph = equalize(graph, batches)
    calibration = calibrate(
        graph, batches, observer=recipe.observer, bits=tensor_bits(graph, recipe.scheme)
    )
    qparams = assign_qparams(graph, calibration.qparams, ends=ends)
    if recipe.output_search:
        images = some_of(batches, _SEARCH_PIXELS)
        qparams = search_ranges([graph], qparams, calibration.observers, [images])
    if recipe.output_step:
        qparams = share_output_step(graph, qparams, calibration.observers)
    weights = quantize_weights(graph, qparams, layer_bits(graph, recipe.scheme))
    quantized = QuantizedGraph(
        graph=graph, qparams=qparams, weights=weights, scheme=recipe.scheme.name
    )
    quantized, corrections = _fitted(quantized, batches, recipe)
    return PtqResult(
        quantized=quantized,
        recipe=recipe,
        calibration=calibration,
        saturation=calibration.saturation(quantized.qparams),
        bias_corrections=corrections,
    )


def _fitted(
    quantized: QuantizedGraph, batches: Sequence[CalibrationBatch], recipe: PtqRecipe
) -> tuple[QuantizedGraph, dict[str, float]]:
    """Round weights and correct biases as ``recipe`` says."""
    layers = trained_layers(quantized.graph)
    if recipe.rounding in {"adaround", "block"}:
        quantized = reconstruct(
            quantized,
            some_of(batches, _RECONSTRUCTION_PIXELS),
            layers=1 if recipe.rounding == "adaround" else _BLOCK_LAYERS,
            iterations=recipe.iterations,
        )
    if recipe.rounding == "dorefa":
        quantized = _bent(quantized)
    corrected = {"none": [], "last": layers[-1:], "all": layers}[recipe.bias_correction]
    rounded = layers if recipe.rounding == "gptq" else []
    batch = some_of(batches, _CORRECTION_PIXELS)
    return fit_layers(quantized, batch, rounded=rounded, corrected=corrected)


def _bent(quantized: QuantizedGraph) -> QuantizedGraph:
    """Return ``quantized`` with DoReFa's weights."""
    weights = dict(quantized.weights)
    for op in quantized.graph.ops:
        if isinstance(op, (Conv2D, DepthwiseConv2D)) and not is_selection(op):
            old = weights[op.name]
            count = op.weight.shape[channel_axis(op)]
            values, scales = dorefa_weights(op.weight, channels=count, bits=old.bits)
            steps = bias_scales(quantized.qparams[op.inputs[0]].scale, scales)
            bias = quantize_bias(op.bias, steps)
            weights[op.name] = replace(old, values=values, scales=scales, bias=bias)
    return replace(quantized, weights=weights)
