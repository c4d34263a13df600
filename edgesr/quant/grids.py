"""Give every tensor of a graph its grid: observed, fixed, or shared with its neighbours."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph, producers
from edgesr.graph.ops import (
    Add,
    ChannelAffine,
    ChannelGather,
    Clip,
    Concatenation,
    DepthToSpace,
    Op,
    Pad,
    PixelShuffle,
    Relu,
    Relu6,
    ResizeNearest,
    SpaceToDepth,
    is_selection,
)
from edgesr.quant.affine import choose_qparams
from edgesr.quant.scheme import GREY_LEVELS, QParams

_SHARING = (Concatenation, DepthToSpace, SpaceToDepth, Pad, Relu, Relu6)
"""Operations that move bytes: inputs and output must be on one grid."""

FINEST_ADD_INPUT = np.float32(2.0**-9)
"""XNNPACK takes an ADD whose input scales are at least 2**-10 of the output's."""


def grey_ends(graph: Graph) -> dict[str, QParams]:
    """Return the grid of grey levels for every input and output: both are images in [0, 255]."""
    names = (*(spec.name for spec in graph.inputs), *graph.outputs)
    return dict.fromkeys(names, GREY_LEVELS)


def assign_qparams(
    graph: Graph, observed: Mapping[str, QParams], *, ends: Mapping[str, QParams] | None = None
) -> dict[str, QParams]:
    """Return the grid of every tensor of a lowered graph without clips.

    Tensors of ``ends`` are on fixed grids, whatever was observed; an ADD that feeds such an output
    writes to its grid at once, so that its saturation is the clip to the grid's range.

    Args:
        graph: network; its tensors that share bytes get one grid.
        observed: grid by tensor, as calibrated.
        ends: fixed grids of inputs and outputs, by tensor; those that are not named are on their
            observed grids. None puts all of them on grey levels.

    Raises:
        GraphError: an operation has no int8 form, a tensor was never observed, or two ends that
            share bytes are to have different grids.
    """
    _refuse_unquantizable(graph)
    groups = shared_grids(graph)
    grids: dict[str, QParams] = {}
    for name, grid in (grey_ends(graph) if ends is None else ends).items():
        if grids.setdefault(groups[name], grid) != grid:
            raise GraphError(
                f"{graph.name}: {name!r} shares its bytes with a tensor on another fixed grid; "
                "give both one grid"
            )
    fixed = set(grids)
    for group in dict.fromkeys(groups.values()):
        if group not in fixed:
            grids[group] = _joined(group, [n for n, g in groups.items() if g == group], observed)
    for op in graph.ops:
        if is_selection(op) and groups[op.output] not in fixed:
            grids[groups[op.output]] = grids[groups[op.inputs[0]]]
    for op in graph.ops:
        if isinstance(op, Add):
            finest = FINEST_ADD_INPUT * grids[groups[op.output]].scale
            for group in {groups[name] for name in op.inputs} - fixed:
                grids[group] = replace(grids[group], scale=max(grids[group].scale, finest))
    return {name: grids[group] for name, group in groups.items()}


def shared_grids(graph: Graph) -> dict[str, str]:
    """Return for every tensor the representative of those that share its grid."""
    parent = {name: name for name in [spec.name for spec in graph.inputs]}
    parent |= {op.output: op.output for op in graph.ops}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for op in graph.ops:
        if isinstance(op, _SHARING):
            for name in op.inputs:
                parent[root(name)] = root(op.output)
    return {name: root(name) for name in parent}


def _joined(group: str, members: list[str], observed: Mapping[str, QParams]) -> QParams:
    grids = [observed[name] for name in members if name in observed]
    if not grids:
        raise GraphError(
            f"tensor {group!r} was never seen in calibration; calibrate with the graph that is "
            "quantized"
        )
    if len(set(grids)) == 1:
        return grids[0]
    low, high = min(grid.low for grid in grids), max(grid.high for grid in grids)
    return choose_qparams(low, high, bits=grids[0].bits)


def _refuse_unquantizable(graph: Graph) -> None:
    made_by = producers(graph)
    for op in graph.ops:
        if isinstance(op, Clip):
            raise GraphError(
                f"layer {op.name}: clip to [{op.low}, {op.high}] inside the network has no int8 "
                "form; use ReLU or ReLU6, or clip the output to [0, 255]"
            )
        if isinstance(op, (ChannelAffine, ChannelGather, PixelShuffle, ResizeNearest)):
            raise GraphError(f"layer {op.name}: {type(op).__name__} is left; lower the graph first")
    for name in graph.outputs:
        source: Op | None = made_by.get(name)
        if source is None:
            raise GraphError(f"{graph.name}: output {name!r} is an input; the network does nothing")
