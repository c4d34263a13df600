"""How the grids that calibration chose fit images that it did not see, and which channels are dead.

All of it is measured on the float network: what its values are, and where they lie on the grids.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.errors import DataError, GraphError
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp
from edgesr.quant.grids import shared_grids
from edgesr.quant.layerwise import trained_layers
from edgesr.quant.ptq import PtqResult
from edgesr.quant.scheme import QParams
from edgesr.quant.weights import channel_axis

_CONSTANT = 1e-6
"""Share of the layer's range within which a channel counts as constant, and of its largest weight
below which a weight counts as 0: float32 sums differ by as much from place to place."""

DeadKind = Literal["zero", "constant"]


@dataclass(frozen=True, kw_only=True)
class TensorCoverage:
    """One tensor: values seen in calibration, the grid chosen, and held-out values on that grid.

    Attributes:
        name: of the tensor.
        fixed: on the grid of 8-bit images, whatever was observed; what lies outside is clipped to
            [0, 255] and has to be.
        bits: width of the codes.
        low: smallest value in calibration, real units.
        high: largest value in calibration.
        held_out_low: smallest held-out value.
        held_out_high: largest held-out value.
        grid_low: smallest value on the grid.
        grid_high: largest value on the grid.
        scale: step of the grid.
        coverage: share of held-out values, 0 to 1, that rounding puts on a code without clipping.
        farthest: steps from the end of the grid to the held-out value furthest outside; 0 if all
            lie inside.
        saturation: share of calibration values, 0 to 1, more than one step outside the grid.
        saturation_held_out: the same for held-out values.
        unused_codes: share of the grid's codes, 0 to 1, that no held-out value takes.
    """

    name: str
    fixed: bool
    bits: int
    low: float
    high: float
    held_out_low: float
    held_out_high: float
    grid_low: float
    grid_high: float
    scale: float
    coverage: float
    farthest: float
    saturation: float
    saturation_held_out: float
    unused_codes: float


@dataclass(frozen=True, kw_only=True)
class DeadChannel:
    """An output channel of a layer that has one value on all calibration images.

    Attributes:
        layer: name of the layer.
        channel: index of the channel.
        kind: ``zero``, or ``constant`` at another value.
        value: that value, real units, after the activation.
        weightless: all weights of the channel are 0.
        alive_held_out: it does change on held-out images, so that calibration missed it.
    """

    layer: str
    channel: int
    kind: DeadKind
    value: float
    weightless: bool
    alive_held_out: bool


def tensor_coverage(
    ptq: PtqResult, images: Sequence[NDArray[np.uint8]]
) -> tuple[TensorCoverage, ...]:
    """Put the float values of held-out images on the grids of ``ptq``.

    Args:
        ptq: quantized graph and what calibration saw.
        images: low-resolution held-out images ``(h, w, 3)``; not those of calibration.

    Raises:
        DataError: there are no images.
        GraphError: a tensor takes NaN or infinity.
    """
    if not images:
        raise DataError("no held-out image to check ranges with; name a folder with --data")
    graph, grids = ptq.quantized.graph, ptq.quantized.qparams
    seen = {name: _Seen(name, grid) for name, grid in grids.items()}
    for lr in images:
        execute(
            graph,
            torch.from_numpy(lr)[None].float(),
            observe=lambda name, values: seen[name].update(values),
        )
    groups = shared_grids(graph)
    ends = {groups[name] for name in (*(spec.name for spec in graph.inputs), *graph.outputs)}
    observers = ptq.calibration.observers
    result = []
    for name, one in seen.items():
        grid = grids[name]
        beyond = max(grid.low - one.low, one.high - grid.high, 0.0)
        histogram = observers[name].histogram if name in observers else None
        result.append(
            TensorCoverage(
                name=name,
                fixed=ptq.recipe.fixed_ends and groups[name] in ends,
                bits=grid.bits,
                low=0.0 if histogram is None else histogram.low,
                high=0.0 if histogram is None else histogram.high,
                held_out_low=one.low,
                held_out_high=one.high,
                grid_low=grid.low,
                grid_high=grid.high,
                scale=float(grid.scale),
                coverage=1.0 - one.clipped / one.total,
                farthest=beyond / float(grid.scale),
                saturation=0.0 if histogram is None else histogram.saturation(grid),
                saturation_held_out=one.far / one.total,
                unused_codes=float(np.mean(one.codes == 0)),
            )
        )
    return tuple(result)


def dead_channels(
    graph: Graph, calibration: Iterable[Tensor], held_out: Sequence[NDArray[np.uint8]] = ()
) -> tuple[DeadChannel, ...]:
    """Return the channels of trained layers that are constant on all calibration images.

    Args:
        graph: lowered graph in float32.
        calibration: images, float32 ``(n, h, w, 3)`` grey levels.
        held_out: images ``(h, w, 3)`` on which such channels are looked at again.
    """
    layers = {op.name: op for op in graph.ops if op.name in set(trained_layers(graph))}
    ranges = _channel_ranges(graph, calibration)
    later = _channel_ranges(graph, (torch.from_numpy(lr)[None].float() for lr in held_out))
    found = []
    for name, op in layers.items():
        if not isinstance(op, (Conv2D, DepthwiseConv2D)) or op.output not in ranges:
            continue
        low, high = ranges[op.output]
        limit = _CONSTANT * max(float(high.max() - low.min()), float(np.abs(high).max()))
        weightless = _weightless(op)
        for channel in np.flatnonzero(high - low <= limit).tolist():
            value = float(high[channel])
            alive = False
            if op.output in later:
                both = [pair[channel] for pair in (*ranges[op.output], *later[op.output])]
                alive = float(max(both) - min(both)) > limit
            found.append(
                DeadChannel(
                    layer=name,
                    channel=channel,
                    kind="zero" if abs(value) <= limit else "constant",
                    value=value,
                    weightless=bool(weightless[channel]),
                    alive_held_out=alive,
                )
            )
    return tuple(found)


class _Seen:
    """Held-out values of one tensor on its grid."""

    def __init__(self, name: str, grid: QParams) -> None:
        self._name = name
        self._grid = grid
        self.codes: NDArray[np.int64] = np.zeros(grid.code_max - grid.code_min + 1, np.int64)
        self.low, self.high = np.inf, -np.inf
        self.total = self.clipped = self.far = 0

    def update(self, values: Tensor) -> None:
        low, high = (float(bound) for bound in torch.aminmax(values))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise GraphError(
                f"tensor {self._name!r}: a held-out image gives values in [{low}, {high}], want "
                "finite ones; train again"
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        grid = self._grid
        scaled = values / float(grid.scale) + grid.zero_point
        steps = scaled.round()
        inside = steps.clamp(grid.code_min, grid.code_max)
        self.total += values.numel()
        self.clipped += int((steps != inside).sum())
        self.far += int(((scaled < grid.code_min - 1) | (scaled > grid.code_max + 1)).sum())
        numbers = (inside - grid.code_min).long().flatten()
        self.codes += torch.bincount(numbers, minlength=len(self.codes)).numpy()


def _channel_ranges(
    graph: Graph, batches: Iterable[Tensor]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the smallest and the largest value of every channel, by tensor."""
    ranges: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def observe(name: str, values: Tensor) -> None:
        low, high = (values.amin(dim=(0, 2, 3)).numpy(), values.amax(dim=(0, 2, 3)).numpy())
        if name in ranges:
            low, high = np.minimum(low, ranges[name][0]), np.maximum(high, ranges[name][1])
        ranges[name] = low, high

    for batch in batches:
        execute(graph, batch.float(), observe=observe)
    return ranges


def _weightless(op: WeightedOp) -> NDArray[np.bool_]:
    """Return for every output channel whether its weights are 0."""
    axis = channel_axis(op)
    others = tuple(index for index in range(op.weight.ndim) if index != axis)
    largest = np.abs(op.weight).max(axis=others)
    small: NDArray[np.bool_] = largest <= _CONSTANT * largest.max()
    return small
