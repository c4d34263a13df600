"""What int8 kernels compute wrongly or needlessly, whatever the target."""

from collections.abc import Callable, Iterator

from edgesr.lint.accept import is_end_conversion
from edgesr.lint.clips import clips
from edgesr.lint.findings import Finding, at, grid_text
from edgesr.lint.model import FLOATS, MOVERS, Operator, Subgraph
from edgesr.lint.weights import CHANNEL_AXIS, activations, groups, weights

_COARSER = 1.01


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
                    what=f"{op.name} reads {grid_text(source)} and writes {grid_text(output)}",
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
            what=f"{op.name} reads {grid_text(odd[0])} and writes {grid_text(output)}",
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
            what=f"{op.name} adds {grid_text(coarse[0])} on {grid_text(output)}",
            why="a sum is no finer than what it adds; such a residual cost 2.8 dB in one test",
            remedy="calibrate that input by itself, so that its scale fits its own range",
            tensors=(coarse[0], output),
        )


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
    clips,
    groups,
)
