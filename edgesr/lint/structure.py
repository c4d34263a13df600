"""What a graph's shape costs: layout changes, float islands, work at the enlarged size."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from edgesr.lint.accept import is_end_conversion
from edgesr.lint.findings import Finding, Severity, at
from edgesr.lint.model import FLOATS, Model, Operator, Subgraph
from edgesr.lint.shuffle import Chain, find_chains
from edgesr.lint.targets import Target

_IMAGE_RANK = 4
_STRIDED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"})
_LONGEST_LIST = 6
_MOST_NAMES = 4


def structure(graph: Subgraph, target: Target) -> Iterator[Finding]:
    """Find what is wrong with the shape of a subgraph."""
    yield from _free_sizes(graph, target)
    yield from _ranks(graph, target)
    yield from _unwritten(graph)
    yield from _islands(graph)
    for chain in find_chains(graph):
        yield _chain(graph, chain)
    for op in graph.operators:
        yield from _copies(graph, op)
    yield from _large(graph)


def subgraphs(model: Model, target: Target) -> Iterator[Finding]:
    """Find what several subgraphs mean to a target."""
    if len(model.subgraphs) == 1 or target.all_subgraphs:
        return
    keys = [key for key, number in model.signatures if number]
    yield Finding(
        code="EL003",
        severity="note",
        subgraph=1,
        operator=None,
        op="",
        tensors=(),
        what=f"{len(model.subgraphs)} subgraphs"
        + (f"; signatures {', '.join(keys[:_MOST_NAMES])} are not in the first" if keys else ""),
        why=f"{target.title} may take the first only",
        remedy="measure every signature, or export one file each",
    )


def _whole(  # noqa: PLR0913 - a finding has that many parts
    graph: Subgraph,
    code: str,
    severity: Severity,
    *,
    what: str,
    why: str,
    remedy: str,
    tensors: tuple[str, ...] = (),
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        subgraph=graph.index,
        operator=None,
        op="",
        tensors=tensors,
        what=what,
        why=why,
        remedy=remedy,
    )


def _free_sizes(graph: Subgraph, target: Target) -> Iterator[Finding]:
    free = [graph.tensors[one] for one in graph.inputs if graph.tensors[one].free]
    if free:
        yield _whole(
            graph,
            "EL001",
            target.free_sizes,
            what=f"input {free[0]} has shape {list(free[0].signature)}",
            why="a delegate plans for the size that is set before it is applied",
            remedy="set the size first, or export one size (edgesr export --shape HxW)",
            tensors=tuple(map(str, free)),
        )


def _ranks(graph: Subgraph, target: Target) -> Iterator[Finding]:
    large = [one for one in graph.tensors if len(one.shape) > target.max_rank]
    if large:
        yield _whole(
            graph,
            "EL002",
            "warning",
            what=f"{len(large)} tensors have more than {target.max_rank} axes, such as {large[0]} "
            f"of shape {list(large[0].shape)}",
            why=f"{target.title} takes {target.max_rank}",
            remedy="a pixel shuffle belongs into one DEPTH_TO_SPACE",
            tensors=tuple(map(str, large[:_MOST_NAMES])),
        )


def _unwritten(graph: Subgraph) -> Iterator[Finding]:
    written = {one.index for one in graph.tensors if one.constant or one.variable}
    written |= set(graph.inputs)
    for op in graph.operators:
        lost = [one for one in op.inputs if one >= 0 and one not in written]
        if lost:
            yield at(
                graph,
                op,
                "EL005",
                "error",
                what=f"{op} reads {graph.tensors[lost[0]]}, which nothing wrote before",
                why="its content is whatever is in memory",
                remedy="convert the model again",
                tensors=(graph.tensors[lost[0]],),
            )
        written.update(op.outputs)


def _islands(graph: Subgraph) -> Iterator[Finding]:
    if not any(one.integer for op in graph.operators for one in graph.made(op)):
        return
    member: dict[int, int] = {}
    groups: dict[int, list[Operator]] = {}
    for op in graph.operators:
        if not _is_float(graph, op):
            continue
        before = {member[one] for one in op.inputs if one in member}
        group = min(before, default=op.index)
        joined = [one for other in before for one in groups.pop(other)]
        groups[group] = [*joined, op]
        for one in groups[group]:
            member |= dict.fromkeys(one.outputs, group)
    for ops in groups.values():
        working = [op for op in ops if op.name not in {"QUANTIZE", "DEQUANTIZE"}]
        if working:
            names = ", ".join(map(str, working[:_LONGEST_LIST]))
            yield at(
                graph,
                working[0],
                "EL004",
                "warning",
                what=f"{len(working)} operators compute in float between integer ones: {names}",
                why="no integer accelerator takes them: the graph is cut there and converted twice",
                remedy="quantize them too, or use operators with an int8 kernel",
            )


def _is_float(graph: Subgraph, op: Operator) -> bool:
    made, flow = graph.made(op), graph.flow(op)
    if not made or made[0].dtype not in FLOATS or is_end_conversion(graph, op):
        return False
    return not (op.name == "DEQUANTIZE" and flow and flow[0].constant)


def _chain(graph: Subgraph, chain: Chain) -> Finding:
    first, last = chain.operators[0], chain.operators[-1]
    names = ", ".join(op.name for op in chain.operators)
    place = f"operators {first.index} to {last.index} ({names})"
    if len(chain.operators) == 1:
        place = str(first)
    tensors = (chain.source, chain.result)
    if chain.block > 1:
        straight = chain.order == tuple(range(len(chain.order)))
        return at(
            graph,
            first,
            "EL301",
            "warning",
            what=f"{place} are a pixel shuffle by {chain.block}"
            + ("" if straight else ", in another channel order than DEPTH_TO_SPACE"),
            why="each of them writes the whole image, and most accelerators refuse 5 and 6 axes",
            remedy=f"one DEPTH_TO_SPACE of block {chain.block}"
            + ("" if straight else ", with the channels of the layer before it reordered"),
            tensors=tensors,
            fix="shuffle",
        )
    if chain.block == 1:
        return at(
            graph,
            first,
            "EL302",
            "warning",
            what=f"{place} leave every number where it was",
            why="each of them writes the whole feature map for nothing",
            remedy="leave them out",
            tensors=tensors,
            fix="bypass",
        )
    return at(
        graph,
        first,
        "EL302",
        "warning" if any(op.name == "TRANSPOSE" for op in chain.operators) else "note",
        what=f"{place} change the layout",
        why="each of them may write the whole feature map",
        remedy="export in NHWC; a pixel shuffle of free size is proved where one size is exported",
        tensors=tensors,
    )


def _copies(graph: Subgraph, op: Operator) -> Iterator[Finding]:
    repeated = len(op.inputs) > 1 and len({*op.inputs}) == 1 and op.inputs[0] >= 0
    if op.name != "CONCATENATION" or not repeated or not op.outputs:
        return
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if len(source.shape) != _IMAGE_RANK or op.option("axis") not in {3, -1}:
        return
    yield at(
        graph,
        op,
        "EL303",
        "warning",
        what=f"CONCATENATION repeats {source} {len(op.inputs)} times",
        why="delegates limit the inputs of a CONCATENATION (XNNPACK: 5), and it cannot be fused",
        remedy="one 1x1 convolution with weights of 0 and 1 copies channels exactly",
        tensors=(source, output),
        fix="nearest",
    )


def _large(graph: Subgraph) -> Iterator[Finding]:
    factors = enlargements(graph)
    scale = max((factors.get(one, 0.0) for one in graph.outputs), default=0.0)
    if scale <= 1:
        return
    for op in graph.operators:
        if is_end_conversion(graph, op):
            continue
        large = [one for one in graph.flow(op) if factors.get(one.index, 0.0) >= scale]
        if large:
            yield at(
                graph,
                op,
                "EL304",
                "warning",
                what=f"{op.name} works on {large[0]}, which has the size of the x{scale:g} image",
                why=f"it costs {scale * scale:g} times what it would before DEPTH_TO_SPACE",
                remedy="move it before the enlargement",
                tensors=(large[0], *graph.made(op)),
            )


def enlargements(graph: Subgraph) -> dict[int, float]:
    """Return how many times as high as the input each image in a subgraph is, where known."""
    found = {one: 1.0 for one in graph.inputs if len(graph.tensors[one].shape) == _IMAGE_RANK}
    for op in graph.operators:
        flow, made = graph.flow(op), graph.made(op)
        if not flow or not made:
            continue
        factor = _factor(graph, op)
        for one in made:
            if factor is not None and len(one.shape) == _IMAGE_RANK and flow[0].index in found:
                found[one.index] = found[flow[0].index] * factor
            elif not one.free and (ratio := _ratio(graph, one.shape)) is not None:
                found[one.index] = ratio
    return found


_FACTORS: Mapping[str, Callable[[Operator], float]] = MappingProxyType(
    {
        "DEPTH_TO_SPACE": lambda op: float(op.option("block")),
        "SPACE_TO_DEPTH": lambda op: 1 / max(1, op.option("block")),
        "TRANSPOSE_CONV": lambda op: float(op.option("stride_h")),
    }
    | dict.fromkeys(_STRIDED, lambda op: 1 / max(1, op.option("stride_h")))
)


def _factor(graph: Subgraph, op: Operator) -> float | None:
    if op.name in _FACTORS:
        return _FACTORS[op.name](op)
    if op.name.startswith("RESIZE_"):
        before, after = graph.flow(op)[0], graph.made(op)[0]
        images = len(before.shape) == len(after.shape) == _IMAGE_RANK and before.shape[1] > 0
        return after.shape[1] / before.shape[1] if images and not before.free else None
    return None if op.name in {"RESHAPE", "TRANSPOSE", "GATHER"} else 1.0


def _ratio(graph: Subgraph, shape: tuple[int, ...]) -> float | None:
    for one in graph.inputs:
        source = graph.tensors[one]
        if len(source.shape) == len(shape) == _IMAGE_RANK and not source.free and 0 not in shape:
            ratios = {shape[1] / max(1, source.shape[1]), shape[2] / max(1, source.shape[2])}
            if len(ratios) == 1:
                return ratios.pop()
    return None
