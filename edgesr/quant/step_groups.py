"""Which consecutive steps of a denoiser share their activation grids.

A group of steps on one grid makes a larger error than steps on grids of their own. The error of
every group of neighbours is estimated from histograms; dynamic programming finds the cheapest cut
into any number of groups, and the least number that costs hardly more than a grid for every step
wins.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from edgesr.errors import DataError
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Add, Conv2D, DepthwiseConv2D, is_selection
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.histogram import Histogram
from edgesr.quant.output_search import all_values, output_on_grid
from edgesr.quant.scheme import QParams

TOLERANCE = 1.05
"""Groups may cost this much more than a grid for every step."""


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How steps are grouped.

    Attributes:
        groups: number of the group of every step, from 0, in sampling order.
        costs: estimated error of the cheapest cut into 1, 2, ... groups.
    """

    groups: tuple[int, ...]
    costs: tuple[float, ...]


def cheapest_cuts(costs: npt.NDArray[np.float64]) -> list[tuple[float, tuple[int, ...]]]:
    """Return for 1, 2, ... T groups the least cost and the group number of every step.

    Args:
        costs: ``(T, T)``: ``costs[i, j]`` is that of one group of steps i to j, both included;
            only ``j >= i`` is read.
    """
    count = len(costs)
    best = [[float(costs[0, last]) for last in range(count)]]
    starts = [[0] * count]
    for _ in range(1, count):
        row, cuts = [float("inf")] * count, [0] * count
        for last in range(len(best), count):
            options = [best[-1][cut - 1] + float(costs[cut, last]) for cut in range(1, last + 1)]
            cuts[last] = 1 + int(np.argmin(options))
            row[last] = options[cuts[last] - 1]
        best.append(row)
        starts.append(cuts)
    return [(best[groups][-1], _numbers(starts, groups, count)) for groups in range(count)]


def choose_groups(costs: npt.NDArray[np.float64], *, number: int | None = None) -> Grouping:
    """Return the cheapest cut into ``number`` groups.

    Args:
        costs: see ``cheapest_cuts``.
        number: None takes the least whose cost is at most 1.05 of that of a group for every step.

    Raises:
        DataError: fewer than one group, or more than steps.
    """
    cuts = cheapest_cuts(costs)
    if number is None:
        number = next(n for n, (cost, _) in enumerate(cuts, 1) if cost <= TOLERANCE * cuts[-1][0])
    if not 1 <= number <= len(cuts):
        raise DataError(f"{number} groups of {len(cuts)} steps, want 1 to {len(cuts)}")
    return Grouping(groups=cuts[number - 1][1], costs=tuple(cost for cost, _ in cuts))


def group_costs(
    histograms: Sequence[Mapping[str, Histogram]],
    weights: Sequence[Mapping[str, float]],
    grids: Callable[[int, int], Mapping[str, QParams]],
) -> npt.NDArray[np.float64]:
    """Return the cost of every group of neighbours, ``(T, T)``, see ``cheapest_cuts``.

    It is the sum over steps and tensors of the mean squared error on the group's grids times the
    tensor's weight.

    Args:
        histograms: what every step saw, by tensor.
        weights: of every step's tensors; tensors without weight do not count.
        grids: first and last step of a group to its grids.
    """
    count = len(histograms)
    costs = np.full((count, count), np.inf)
    for first in range(count):
        for last in range(first, count):
            chosen = grids(first, last)
            costs[first, last] = sum(
                weight * histograms[step][name].mean_squared_error(chosen[name])
                for step in range(first, last + 1)
                for name, weight in weights[step].items()
            )
    return costs


@torch.no_grad()
def sensitivities(
    graph: Graph, qparams: Mapping[str, QParams], batch: CalibrationBatch
) -> dict[str, float]:
    """Return squared error of the output for one of a tensor, by tensor; both are means.

    Measured with the tensor alone on its grid and everything else in float32. Tensors that only
    move bytes, and those without an error, are left out.

    Args:
        graph: float graph.
        qparams: grid by tensor.
        batch: images to measure on.
    """
    values = all_values(graph, batch)
    wanted = values[graph.outputs[0]]
    found: dict[str, float] = {}
    for op in graph.ops:
        if not isinstance(op, (Conv2D, DepthwiseConv2D, Add)) or is_selection(op):
            continue
        grid = qparams[op.output]
        steps = (values[op.output] / float(grid.scale)).round()
        steps.clamp_(grid.code_min - grid.zero_point, grid.code_max - grid.zero_point)
        made = (steps * float(grid.scale) - values[op.output]).square().mean()
        if made > 0:
            output = output_on_grid(graph, op.output, grid, values)
            found[op.output] = float((output - wanted).square().mean() / made)
    return found


def _numbers(starts: Sequence[Sequence[int]], groups: int, count: int) -> tuple[int, ...]:
    numbers = [0] * count
    last = count - 1
    for group in range(groups, -1, -1):
        first = starts[group][last]
        numbers[first : last + 1] = [group] * (last + 1 - first)
        last = first - 1
    return tuple(numbers)
