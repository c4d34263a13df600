"""Post-training quantization: float graph and calibration images to a quantized graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from edgesr.graph.graph import Graph
from edgesr.graph.passes import drop_clip
from edgesr.quant.calibrate import Calibration, CalibrationBatch, calibrate
from edgesr.quant.grids import assign_qparams
from edgesr.quant.layerwise import fit_layers, trained_layers
from edgesr.quant.output_step import share_output_step
from edgesr.quant.scheme import GREY_LEVELS, WI8_AI8, QuantizedGraph
from edgesr.quant.weights import quantize_weights

_CORRECTION_PIXELS = 2**16


@dataclass(frozen=True, kw_only=True)
class PtqResult:
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


def quantize_graph(
    graph: Graph, batches: Sequence[CalibrationBatch], *, observer: str = "histogram_mse"
) -> PtqResult:
    """Quantize a lowered graph of images in [0, 255] with scheme ``wi8_ai8``.

    Args:
        graph: network, lowered; its final clip to [0, 255] becomes the saturation of the output.
        batches: calibration images, grey levels 0 to 255.
        observer: estimator of ranges, a key of ``OBSERVERS``.

    Raises:
        GraphError: the graph holds an operation without int8 form, or values that are not finite.
        DataError: there are no images.
    """
    graph = drop_clip(graph, low=GREY_LEVELS.low, high=GREY_LEVELS.high)
    calibration = calibrate(graph, batches, observer=observer)
    qparams = assign_qparams(graph, calibration.qparams)
    qparams = share_output_step(graph, qparams, calibration.observers)
    weights = quantize_weights(graph, qparams)
    quantized = QuantizedGraph(graph=graph, qparams=qparams, weights=weights, scheme=WI8_AI8)
    quantized, corrections = fit_layers(quantized, _some_of(batches), trained_layers(graph))
    return PtqResult(
        quantized=quantized,
        calibration=calibration,
        saturation=calibration.saturation(qparams),
        bias_corrections=corrections,
    )


def _some_of(batches: Sequence[CalibrationBatch]) -> CalibrationBatch:
    """Join batches of the first one's image size, as many pixels as correction needs."""
    size = batches[0].inputs.shape[1:]
    chosen = [batch.inputs for batch in batches if batch.inputs.shape[1:] == size]
    count = max(1, _CORRECTION_PIXELS // size[:2].numel())
    return CalibrationBatch(inputs=torch.cat(chosen)[:count])
