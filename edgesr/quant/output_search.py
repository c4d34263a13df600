"""Choose the range of every tensor by the error that its grid makes in the output image.

The squared error of a tensor does not say what the layers behind it make of it: they average the
many small rounding errors of a wide range away, but not the few large ones of a narrow range. So a
grid is tried where it acts: one tensor on its grid, the rest of the network in float32, and the
output compared with the float network's.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from edgesr.graph.execute import apply
from edgesr.graph.graph import Graph
from edgesr.quant.affine import choose_qparams
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.grids import shared_grids
from edgesr.quant.observers import Observer
from edgesr.quant.range_search import percentile_range
from edgesr.quant.scheme import QParams

_PERCENTS = (99.9, 99.95, 99.975, 99.99, 99.995, 99.999, 100.0)
_NARROW_PERCENTS = (97.0, 98.0, 99.0, 99.5)
_WIDE_CODES = 8
_ROUNDING = 1.0 / 12.0


@torch.no_grad()
def search_ranges(
    graph: Graph,
    qparams: Mapping[str, QParams],
    observers: Mapping[str, Observer],
    batch: CalibrationBatch,
) -> dict[str, QParams]:
    """Return ``qparams`` with the best of several ranges for every tensor that shares no grid.

    Tried are the ranges between percentiles of the values seen, and what ``qparams`` has.

    Args:
        graph: lowered graph in float32.
        qparams: grid by tensor.
        observers: what was seen, by tensor.
        batch: images to compare outputs on, of one size.
    """
    groups = shared_grids(graph)
    private = {name for name in groups if list(groups.values()).count(groups[name]) == 1}
    ends = {*(spec.name for spec in graph.inputs), *graph.outputs}
    values = {graph.inputs[0].name: batch.inputs.permute(0, 3, 1, 2).float()}
    for op in graph.ops:
        values[op.output] = apply(op, values)
    result = dict(qparams)
    for name in sorted(private - ends):
        grids = [qparams[name], *_candidates(observers[name], qparams[name].bits)]
        errors = [_output_error(graph, name, grid, values) for grid in grids]
        result[name] = grids[min(range(len(grids)), key=errors.__getitem__)]
    return result


def _candidates(seen: Observer, bits: int) -> list[QParams]:
    percents = _PERCENTS if bits >= _WIDE_CODES else (*_NARROW_PERCENTS, *_PERCENTS)
    ranges = [percentile_range(seen.histogram, bits, percent=percent) for percent in percents]
    return [choose_qparams(low, high, bits=bits) for low, high in ranges]


def _output_error(graph: Graph, tensor: str, grid: QParams, values: Mapping[str, Tensor]) -> float:
    """Return how bad the clipped output is when ``tensor`` alone is on ``grid``.

    That is the mean over images of ``log(squared error + 1/12)``, as the mean PSNR is: an image
    with a few steep edges counts as much as any other. 1/12 is what rounding the output adds.
    """
    steps = (values[tensor] / float(grid.scale)).round()
    steps.clamp_(grid.code_min - grid.zero_point, grid.code_max - grid.zero_point)
    changed = {tensor: steps * float(grid.scale)}
    for op in graph.ops:
        if op.output != tensor and any(name in changed for name in op.inputs):
            changed[op.output] = apply(
                op, {name: changed.get(name, values[name]) for name in op.inputs}
            )
    output = graph.outputs[0]
    wanted = values[output].clamp(0.0, 255.0)
    found = changed.get(output, values[output]).clamp(0.0, 255.0)
    errors = (found - wanted).square().mean(dim=(1, 2, 3), dtype=torch.float64)
    return float((errors + _ROUNDING).log().mean())
