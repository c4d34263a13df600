"""What int8 kernels compute wrongly or needlessly, whatever the target."""

import math
from collections.abc import Callable, Iterator

from edgesr.lint.accept import is_end_conversion
from edgesr.lint.findings import Finding, at
from edgesr.lint.model import CODES, FLOATS, Operator, Subgraph, Tensor
from edgesr.lint.options import FUSED
from edgesr.lint.weights import CHANNEL_AXIS, activations, groups, weights

MOVERS = frozenset(
    {
        "BATCH_TO_SPACE_ND",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "PACK",
        "RESHAPE",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    }
)
"""Operators that copy codes, so that input and output have one scale."""

_COARSER = 1.01
_CLIPS = {"RELU": (0.0, math.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
FUSES = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "ADD"})
"""Operators with a fused activation that every int8 kernel knows."""


def arithmetic(graph: Subgraph) -> Iterator[Finding]:
    """Find what goes wrong in the integers of a subgraph."""
    for op in graph.operators:
        for check in _CHECKS:
            yield from check(graph, op)


def _requantization(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    flow, made = graph.flow(op), graph.made(op)
    if op.name != "QUANTIZE" or not flow or not made or not flow[0].integer:
        return
    source, output = flow[0], made[0]
    end = is_end_conversion(graph, op)
    same = source.grid == output.grid and source.dtype == output.dtype
    yield at(
        graph,
        op,
        "EL201",
        "note" if end else "warning",
        what=f"QUANTIZE goes from {source.dtype} to {output.dtype}"
        + (" on the same scale: it does nothing" if same else ""),
        why=(
            "a pass over the image at the end of the graph"
            if end
            else "a pass over the feature map and one more rounding; NNAPI computes it in float"
        ),
        remedy=(
            "give int8 images to the model where the caller can"
            if end
            else "give both sides one scale: share their fake-quantization"
        ),
        tensors=(source, output),
        fix="identity" if same else "",
    )


def _round_trip(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    flow = graph.flow(op)
    if op.name != "DEQUANTIZE" or not op.outputs or not flow or flow[0].constant:
        return
    after = graph.follower(op.outputs[0])
    if after is not None and after.name == "QUANTIZE":
        yield at(
            graph,
            op,
            "EL202",
            "warning",
            what=f"DEQUANTIZE is followed by {after} and nothing else",
            why="the feature map is written and read once more as floats, to be rounded again",
            remedy="leave both out and share one scale",
            tensors=(*graph.flow(op), *graph.made(after)),
        )


def _hybrid(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    weight, flow = graph.input(op, 1), graph.flow(op)
    if op.name in CHANNEL_AXIS and weight is not None and flow and weight.dtype == "INT8":
        data = flow[-1] if op.name == "TRANSPOSE_CONV" else flow[0]
        if data.dtype in FLOATS:
            yield at(
                graph,
                op,
                "EL203",
                "warning",
                what=f"{op.name} has int8 weights and computes with {data.dtype} activations",
                why="activations are quantized anew at every run, and no NPU takes such a layer",
                remedy="quantize the activations as well (edgesr export --int8)",
            )


def _depth_to_space(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    if op.name == "DEPTH_TO_SPACE" and op.version > 1:
        yield at(
            graph,
            op,
            "EL204",
            "warning",
            what=f"DEPTH_TO_SPACE is version {op.version}",
            why="LiteRT's reference kernels and older delegates take version 1 only",
            remedy="write version 1: the kernel is the same for int8",
            fix="version",
        )


def _moved(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    grids = {"CONCATENATION": graph.read(op)}.get(op.name, graph.flow(op)[:1])
    if op.name not in MOVERS | {"CONCATENATION"}:
        return
    for output in graph.made(op):
        for source in grids:
            if source.integer and output.integer and source.grid != output.grid:
                yield at(
                    graph,
                    op,
                    "EL205",
                    "error",
                    what=f"{op.name} reads {_grid(source)} and writes {_grid(output)}",
                    why=(
                        "LiteRT refuses to run it"
                        if op.name == "CONCATENATION"
                        else "the kernel copies codes, so that the values change silently"
                    ),
                    remedy="give both tensors one scale: share their fake-quantization",
                    tensors=(source, output),
                )
                return


def _extremes(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    if op.name not in {"MINIMUM", "MAXIMUM"} or not graph.made(op):
        return
    output = graph.made(op)[0]
    odd = [one for one in graph.read(op) if one.integer and one.grid != output.grid]
    if output.integer and odd:
        yield at(
            graph,
            op,
            "EL206",
            "error",
            what=f"{op.name} reads {_grid(odd[0])} and writes {_grid(output)}",
            why="the kernel compares codes and ignores scales: the result is silently wrong",
            remedy="requantize the operands to one scale, or let the output scale clip",
            tensors=(odd[0], output),
        )


def _sum(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    if op.name not in {"ADD", "SUB"} or not graph.made(op) or not graph.made(op)[0].integer:
        return
    output = graph.made(op)[0]
    coarse = [one for one in graph.read(op) if one.grid and output.grid]
    coarse = [one for one in coarse if one.scales[0] > _COARSER * output.scales[0]]
    if coarse:
        yield at(
            graph,
            op,
            "EL212",
            "warning",
            what=f"{op.name} adds {_grid(coarse[0])} on {_grid(output)}",
            why="a sum is no finer than what it adds; such a residual cost 2.8 dB in one test",
            remedy="calibrate that input by itself, so that its scale fits its own range",
            tensors=(coarse[0], output),
        )


def _clip(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    if not graph.made(op) or not op.inputs or op.inputs[0] < 0:
        return
    source, output = graph.tensors[op.inputs[0]], graph.made(op)[0]
    if does_nothing(graph, op):
        yield at(
            graph,
            op,
            "EL213",
            "warning",
            what=f"{op.name} clips what {source} cannot hold anyway",
            why="codes end where the clip ends: it is one pass over the feature map for nothing",
            remedy="leave it out",
            tensors=(source, output),
            fix="identity",
        )
        return
    maker = graph.makers.get(source.index)
    if (
        op.name in _CLIPS
        and maker is not None
        and maker.name in FUSES
        and maker.option("fused") == FUSED.index("NONE")
        and graph.follower(source.index) is op
        and source.dtype == output.dtype
        and source.grid == output.grid
    ):
        yield at(
            graph,
            op,
            "EL214",
            "warning",
            what=f"{op.name} stands alone behind {maker}",
            why="one more pass over the feature map",
            remedy="fuse it into that layer",
            tensors=(source, output),
            fix="fuse",
        )


def does_nothing(graph: Subgraph, op: Operator) -> bool:
    """Tell whether a clip leaves every code of its input as it is."""
    source = graph.input(op, 0)
    if source is None or source.grid is None or source.dtype not in CODES or not op.outputs:
        return False
    output = graph.tensors[op.outputs[0]]
    if source.grid != output.grid or source.dtype != output.dtype:
        return False
    scale, zero = source.grid
    lowest, highest = ((code - zero) * scale for code in CODES[source.dtype])
    if op.name in _CLIPS:
        low, high = _CLIPS[op.name]
        return low <= lowest and high >= highest
    limit = graph.input(op, 1)
    if op.name not in {"MINIMUM", "MAXIMUM"} or limit is None or limit.grid != source.grid:
        return False
    values = limit.values()
    if values is None or not values.size or source.constant or source.shape != output.shape:
        return False
    least, most = CODES[source.dtype]
    return bool((values >= most).all() if op.name == "MINIMUM" else (values <= least).all())


def _grid(tensor: Tensor) -> str:
    if tensor.grid is None:
        return f"{tensor} without one scale"
    return f"{tensor} of scale {tensor.grid[0]:.6g} and zero point {tensor.grid[1]}"


_CHECKS: tuple[Callable[[Subgraph, Operator], Iterator[Finding]], ...] = (
    _requantization,
    _round_trip,
    _hybrid,
    _depth_to_space,
    _moved,
    _extremes,
    weights,
    activations,
    _sum,
    _clip,
    groups,
)
