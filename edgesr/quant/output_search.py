"""Choose the range of every tensor by the error that its grid makes in the output image.

The squared error of a tensor does not say what the layers behind it make of it: they average the
many small rounding errors of a wide range away, but not the few large ones of a narrow range. So a
grid is tried where it acts: one tensor on its grid, the rest of the network in float32, and the
output compared with the float network's.
"""

from collections.abc import Mapping, Sequence

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
"""Squared error of rounding to whole steps."""


@torch.no_grad()
def search_ranges(
    graphs: Sequence[Graph],
    qparams: Mapping[str, QParams],
    observers: Mapping[str, Observer],
    batches: Sequence[CalibrationBatch],
) -> dict[str, QParams]:
    """Return ``qparams`` with the best of several ranges for every tensor that shares no grid.

    Tried are the ranges between percentiles of the values seen, and what ``qparams`` has.

    Args:
        graphs: lowered graph in float32, or several of one structure that are on the same grids.
        qparams: grid by tensor.
        observers: what was seen, by tensor.
        batches: images to compare outputs on, of one size, one batch a graph.
    """
    graph = graphs[0]
    groups = shared_grids(graph)
    private = {name for name in groups if list(groups.values()).count(groups[name]) == 1}
    ends = {*(spec.name for spec in graph.inputs), *graph.outputs}
    runs = [(one, all_values(one, batch)) for one, batch in zip(graphs, batches, strict=True)]
    output = qparams[graph.outputs[0]]
    result = dict(qparams)
    for name in sorted(private - ends):
        grids = [qparams[name], *_candidates(observers[name], qparams[name].bits)]
        errors = [
            sum(_output_error(one, name, grid, values, output) for one, values in runs)
            for grid in grids
        ]
        result[name] = grids[min(range(len(grids)), key=errors.__getitem__)]
    return result


def _candidates(seen: Observer, bits: int) -> list[QParams]:
    percents = _PERCENTS if bits >= _WIDE_CODES else (*_NARROW_PERCENTS, *_PERCENTS)
    ranges = [percentile_range(seen.histogram, bits, percent=percent) for percent in percents]
    return [choose_qparams(low, high, bits=bits) for low, high in ranges]


@torch.no_grad()
def all_values(graph: Graph, batch: CalibrationBatch) -> dict[str, Tensor]:
    """Return every tensor of the float graph for ``batch``, ``(n, c, h, w)`` by name."""
    values = {graph.inputs[0].name: batch.inputs.permute(0, 3, 1, 2).float()}
    for op in graph.ops:
        values[op.output] = apply(op, values)
    return values


@torch.no_grad()
def output_on_grid(
    graph: Graph, tensor: str, grid: QParams, values: Mapping[str, Tensor]
) -> Tensor:
    """Return the output when ``tensor`` alone is on ``grid`` and all else in float32.

    Args:
        graph: float graph.
        tensor: name of the tensor that is rounded.
        grid: where to.
        values: what ``all_values`` gave.
    """
    steps = (values[tensor] / float(grid.scale)).round()
    steps.clamp_(grid.code_min - grid.zero_point, grid.code_max - grid.zero_point)
    changed = {tensor: steps * float(grid.scale)}
    for op in graph.ops:
        if op.output != tensor and any(name in changed for name in op.inputs):
            changed[op.output] = apply(
                op, {name: changed.get(name, values[name]) for name in op.inputs}
            )
    return changed.get(graph.outputs[0], values[graph.outputs[0]])


def _output_error(
    graph: Graph, tensor: str, grid: QParams, values: Mapping[str, Tensor], output: QParams
) -> float:
    """Return how bad the clipped output is when ``tensor`` alone is on ``grid``.

    That is the mean over images of ``log(squared error + 1/12)``, in steps of the ``output``, as
    the mean PSNR is: an image with a few steep edges counts as much as any other. 1/12 is what
    rounding the output adds.
    """
    wanted = values[graph.outputs[0]].clamp(output.low, output.high)
    found = output_on_grid(graph, tensor, grid, values).clamp(output.low, output.high)
    steps = (found - wanted) / float(output.scale)
    errors = steps.square().mean(dim=(1, 2, 3), dtype=torch.float64)
    return float((errors + _ROUNDING).log().mean())
