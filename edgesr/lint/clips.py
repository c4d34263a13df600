"""Clips that cost a pass over the image for nothing, and activations that belong into a layer."""

import math
from collections.abc import Iterator

from edgesr.lint.findings import Finding, at
from edgesr.lint.model import CODES, MOVERS, Operator, Subgraph, Tensor
from edgesr.lint.options import FUSED

_CLIPS = {"RELU": (0.0, math.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
_SIX = 6.0
_HALF = 0.5
FUSES = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "ADD"})
"""Operators with a fused activation that every int8 kernel knows."""


def clips(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    """Find what is needless about a clip; the first that holds."""
    source = graph.input(op, 0)
    if source is None or not graph.made(op):
        return
    output = graph.made(op)[0]
    maker = graph.makers.get(source.index)
    if does_nothing(graph, op):
        code, fix = "EL213", "identity"
        what = f"{op.name} clips what {source} cannot hold anyway"
        why = "codes end where the clip ends: it is one pass over the feature map for nothing"
        remedy = "leave it out"
    elif (after := _saturates(graph, op)) is not None:
        code, fix = "EL216", "identity"
        what = f"{op.name} clips what {after} clips again"
        why = "its output scale ends where the clip ends: one pass over the image for nothing"
        remedy = "leave it out, the scale saturates"
    elif maker is not None and is_relu6(graph, maker, op):
        code, fix = "EL215", "relu6"
        what = f"{maker} and {op} are one RELU6"
        why = "one more pass over the feature map"
        remedy = "use RELU6, fused into the layer before it"
    elif maker is not None and _fuses(graph, maker, op):
        code, fix = "EL214", "fuse"
        what = f"{op.name} stands alone behind {maker}"
        why = "one more pass over the feature map"
        remedy = "fuse it into that layer"
    else:
        return
    about = (source, output)
    yield at(graph, op, code, "warning", what=what, why=why, remedy=remedy, tensors=about, fix=fix)


def does_nothing(graph: Subgraph, op: Operator) -> bool:
    """Tell whether a clip leaves every code of its input as it is."""
    span, source = _span(graph, op), graph.input(op, 0)
    if span is None or source is None:
        return False
    least, most = CODES[source.dtype]
    return span[0] <= least and span[1] >= most


def is_relu6(graph: Subgraph, maker: Operator, op: Operator) -> bool:
    """Tell whether a MINIMUM cuts at 6 what a RELU, fused or not, has cut at 0."""
    span, source = _span(graph, op), graph.input(op, 0)
    if op.name != "MINIMUM" or span is None or source is None or source.grid is None:
        return False
    fused = maker.name in FUSES and maker.option("fused") == FUSED.index("RELU")
    lone = maker.name == "RELU" and graph.tensors[maker.inputs[0]].grid == source.grid
    scale, zero = source.grid
    six = min(CODES[source.dtype][1], zero + round(_SIX / scale))
    return (fused or lone) and graph.follower(source.index) is op and span[1] == six


def _fuses(graph: Subgraph, maker: Operator, op: Operator) -> bool:
    source, output = graph.tensors[op.inputs[0]], graph.made(op)[0]
    return (
        op.name in _CLIPS
        and maker.name in FUSES
        and maker.option("fused") == FUSED.index("NONE")
        and graph.follower(source.index) is op
        and source.dtype == output.dtype
        and source.grid == output.grid
    )


def _span(graph: Subgraph, op: Operator) -> tuple[float, float] | None:
    """Return the lowest and highest code that a clip on one grid lets through, None for others."""
    source = graph.input(op, 0)
    if source is None or source.grid is None or source.dtype not in CODES or not op.outputs:
        return None
    output = graph.tensors[op.outputs[0]]
    if source.grid != output.grid or source.dtype != output.dtype or source.grid[0] <= 0:
        return None
    scale, zero = source.grid
    if op.name in _CLIPS:
        low, high = _CLIPS[op.name]
        return zero + low / scale, zero + high / scale
    limit = _limit(graph, op, source)
    if limit is None or source.constant or source.shape != output.shape:
        return None
    return (-math.inf, limit) if op.name == "MINIMUM" else (limit, math.inf)


def _limit(graph: Subgraph, op: Operator, source: Tensor) -> float | None:
    """Return the one code that a MINIMUM or MAXIMUM compares with; None where there are several."""
    limit = graph.input(op, 1)
    if op.name not in {"MINIMUM", "MAXIMUM"} or limit is None or limit.grid != source.grid:
        return None
    values = limit.values()
    if values is None or not values.size or values.min() != values.max():
        return None
    return float(values.min())


def _saturates(graph: Subgraph, op: Operator) -> Operator | None:
    """Return the QUANTIZE behind a clip whose own range lies within the clip's."""
    span, source = _span(graph, op), graph.input(op, 0)
    if span is None or source is None or source.grid is None:
        return None
    after = graph.follower(op.outputs[0])
    while after is not None and after.name in MOVERS and _copies(graph, after, source):
        after = graph.follower(after.outputs[0])
    if after is None or after.name != "QUANTIZE":
        return None
    made = graph.made(after)[0]
    if made.grid is None or made.dtype not in CODES or made.grid[0] <= 0:
        return None
    ratio = source.grid[0] / made.grid[0]
    low, high = (made.grid[1] + (one - source.grid[1]) * ratio for one in span)
    least, most = CODES[made.dtype]
    return after if low < least + _HALF and high > most - _HALF else None


def _copies(graph: Subgraph, op: Operator, source: Tensor) -> bool:
    made = graph.made(op)
    return len(made) == 1 and made[0].grid == source.grid and made[0].dtype == source.dtype
