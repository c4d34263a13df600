"""Whether a target takes an operator, and if not, why."""

from collections.abc import Callable, Iterator

from edgesr.lint.findings import Finding, Severity, at, grid_text
from edgesr.lint.limits import Reason, numbers
from edgesr.lint.model import FLOATS, Operator, Subgraph, Tensor
from edgesr.lint.options import FIELDS, FUSED
from edgesr.lint.targets import OpRule, Target, since

_LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_BIAS_PLACE = {"TRANSPOSE_CONV": 3}
_SPATIAL = 4


def refusals(graph: Subgraph, op: Operator, target: Target) -> list[Finding]:
    """Return why the target refuses an operator; nothing where it takes it."""
    rule = target.ops.get(op.name)
    if rule is None:
        reason = target.reason(op.name) or f"{target.title} has no {op.name}"
        return [_finding(graph, op, target, "EL101", reason, None)]
    found: list[Finding] = []
    for check in _CHECKS:
        for code, what in check(graph, op, rule, target.level):
            found.append(_finding(graph, op, target, code, what, rule))
    return found


def _finding(  # noqa: PLR0913, PLR0917 - private
    graph: Subgraph, op: Operator, target: Target, code: str, what: str, rule: OpRule | None
) -> Finding:
    end = is_end_conversion(graph, op)
    why = (
        f"{target.rest} converts the image at this end of the graph"
        if end
        else f"{target.rest} runs it, and a feature map travels there and back"
    )
    return at(
        graph,
        op,
        code,
        _severity(target, rule, code, end=end),
        what=what,
        why=why,
        remedy=(rule.note if rule is not None and code in _NOTED else "") or _REMEDIES[code],
        source="" if rule is None else target.cite(rule),
    )


def _severity(target: Target, rule: OpRule | None, code: str, *, end: bool) -> Severity:
    if rule is not None and code in rule.fatal:
        return "error"
    return "note" if end else target.refusal


def is_end_conversion(graph: Subgraph, op: Operator) -> bool:
    """Tell whether an operator only changes the type of the subgraph's input or output."""
    return op.name in {"QUANTIZE", "DEQUANTIZE"} and bool(
        {*op.inputs} & {*graph.inputs} or {*op.outputs} & {*graph.outputs}
    )


def _version(_: Subgraph, op: Operator, rule: OpRule, __: int) -> Iterator[Reason]:
    if op.version > rule.max_version:
        what = f"{op.name} is version {op.version}, taken are versions to {rule.max_version}"
        yield "EL102", what


def _level(_: Subgraph, op: Operator, rule: OpRule, level: int) -> Iterator[Reason]:
    if level < rule.level:
        yield "EL105", f"{op.name} came with feature level {rule.level}, this is level {level}"


def _types(graph: Subgraph, op: Operator, rule: OpRule, level: int) -> Iterator[Reason]:
    flow, made = graph.flow(op), graph.made(op)
    if rule.conversions:
        if flow and made:
            pair = f"{flow[0].dtype}>{made[0].dtype}"
            yield from _since(rule.conversions, pair, op.name, level)
        return
    skipped = {graph.input(op, place) for place in rule.constant}
    kinds = dict.fromkeys(one.dtype for one in (*flow, *made) if one not in skipped)
    for kind in kinds:
        yield from _since(rule.dtypes, kind, op.name, level)
    weight = graph.input(op, 1)
    if op.name in _LAYERS and weight is not None and flow and not rule.hybrid:
        kind = flow[-1].dtype if op.name == "TRANSPOSE_CONV" else flow[0].dtype
        if (kind in FLOATS) != (weight.dtype in FLOATS):
            yield "EL103", f"{op.name} of {kind} has weights of {weight.dtype}"


def _since(entries: tuple[str, ...], kind: str, name: str, level: int) -> Iterator[Reason]:
    first = since(entries, kind)
    readable = kind.replace(">", " to ")
    if first is None:
        wanted = ", ".join(one.partition("@")[0].replace(">", " to ") for one in entries)
        yield "EL103", f"{name} of {readable} is not taken, taken are {wanted}"
    elif level < first:
        yield "EL105", f"{name} of {readable} needs feature level {first}, this is level {level}"


def _rank(graph: Subgraph, op: Operator, rule: OpRule, _: int) -> Iterator[Reason]:
    if rule.rank is None:
        return
    least, most = rule.rank
    skipped = {graph.input(op, place) for place in rule.constant}
    for one in (*graph.flow(op), *graph.made(op)):
        if one not in skipped and not least <= len(one.shape) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            yield "EL104", f"{op.name} has {one} of {len(one.shape)} axes, taken are {wanted}"
            return


def _constants(graph: Subgraph, op: Operator, rule: OpRule, _: int) -> Iterator[Reason]:
    for place in rule.constant:
        one = graph.input(op, place)
        if one is not None and not _stored(graph, one):
            yield "EL106", f"{op.name} computes its input {place} ({one}), want a constant"


def _stored(graph: Subgraph, tensor: Tensor) -> bool:
    """Tell whether the file holds a tensor's values, as they are or behind a DEQUANTIZE."""
    maker = graph.makers.get(tensor.index)
    if maker is None or maker.name != "DEQUANTIZE":
        return tensor.constant
    source = graph.flow(maker)[0] if graph.flow(maker) else tensor
    return source.constant and source.dtype in {"FLOAT16", "INT8"}


def _layer(graph: Subgraph, op: Operator, rule: OpRule, level: int) -> Iterator[Reason]:
    if op.name not in _LAYERS:
        return
    weight = graph.input(op, 1)
    if rule.bias and graph.input(op, _BIAS_PLACE.get(op.name, 2)) is None:
        yield "EL107", f"{op.name} has no bias"
    if weight is None:
        return
    if not rule.groups and groups(graph, op) > 1:
        yield "EL108", f"CONV_2D has {groups(graph, op)} groups"
    if len(weight.scales) > 1:
        if not rule.per_channel:
            yield "EL111", f"{op.name} has {len(weight.scales)} weight scales, want one"
        elif level < rule.per_channel:
            yield "EL111", f"per-channel weights need feature level {rule.per_channel}"
    yield from _accumulator(graph, op, rule, weight, level)


def _accumulator(
    graph: Subgraph, op: Operator, rule: OpRule, weight: Tensor, level: int
) -> Iterator[Reason]:
    grids = [*graph.flow(op)[-1 if op.name == "TRANSPOSE_CONV" else 0 :][:1], *graph.made(op)[:1]]
    if len(grids) < 2:  # noqa: PLR2004 - an input and an output
        return
    if level < rule.accumulator_below_output and all(one.scales for one in (*grids, weight)):
        source, output = grids
        if source.scales[0] * max(weight.scales) >= output.scales[0]:
            yield "EL114", "input scale x weight scale is not below the output scale"


def groups(graph: Subgraph, op: Operator) -> int:
    """Return the groups of a CONV_2D; 1 for what is none."""
    source, weight = graph.input(op, 0), graph.input(op, 1)
    if op.name != "CONV_2D" or source is None or weight is None:
        return 1
    if len(source.shape) != _SPATIAL or len(weight.shape) != _SPATIAL or weight.shape[3] < 1:
        return 1
    return max(1, source.shape[3] // weight.shape[3])


def _activation(_: Subgraph, op: Operator, rule: OpRule, __: int) -> Iterator[Reason]:
    if rule.activations is None or "fused" not in FIELDS.get(op.name, {}):
        return
    number = op.option("fused")
    fused = FUSED[number] if 0 <= number < len(FUSED) else f"number {number}"
    if fused not in rule.activations:
        yield "EL109", f"{op.name} has {fused} fused, taken are {', '.join(rule.activations)}"


def _grids(graph: Subgraph, op: Operator, rule: OpRule, level: int) -> Iterator[Reason]:
    flow, made = graph.flow(op), graph.made(op)
    if not flow or not made or not made[0].integer:
        return
    output = made[0]
    inputs = [one for one in graph.read(op) if one.integer and one.grid is not None]
    equal = rule.same_scale or level < rule.equal_scales_below
    if equal and output.grid is not None:
        looked_at = inputs[:1] if rule.same_scale else inputs
        for one in looked_at:
            if one.grid != output.grid:
                yield "EL112", f"{op.name} goes from {grid_text(one)} to {grid_text(output)}"
                break
    for fixed in rule.fixed_output:
        wanted = (fixed.scale, fixed.zero_point)
        if fixed.dtype == output.dtype and output.grid != wanted:
            what = (
                f"{op.name} makes {grid_text(output)}, want scale {fixed.scale:g} and zero point "
                f"{fixed.zero_point}"
            )
            yield "EL113", what
    scales = [one.scales[0] for one in inputs if one.scales]
    if rule.scale_ratio is not None and output.scales and output.scales[0] > 0:
        ratios = [one / output.scales[0] for one in scales]
        odd = [one for one in ratios if not rule.scale_ratio[0] <= one <= rule.scale_ratio[1]]
        for ratio in odd[:1]:
            yield "EL114", f"{op.name} has input scale / output scale = {ratio:g}"
    pair = len(scales) == 2 and bool(output.scales)  # noqa: PLR2004 - a product has two factors
    if rule.product_below_output and pair and scales[0] * scales[1] >= output.scales[0]:
        yield "EL114", f"{op.name}: the product of the input scales is not below the output scale"


_CHECKS: tuple[Callable[[Subgraph, Operator, OpRule, int], Iterator[Reason]], ...] = (
    _version,
    _level,
    _types,
    _rank,
    _constants,
    _layer,
    _activation,
    numbers,
    _grids,
)

_NOTED = frozenset({"EL102", "EL103", "EL107", "EL108", "EL110"})
"""Codes for which the note of a rule says what to do."""

_REMEDIES = {
    "EL101": "express it with operators that the target takes, or leave it out of the file",
    "EL102": "convert again for an older operator version",
    "EL103": "quantize it like its neighbours, or take it out of the graph",
    "EL104": "reshape to at most 4 axes before export",
    "EL105": "ask for a higher feature level, or avoid the operator",
    "EL106": "export with a fixed input size so that the operand becomes a constant",
    "EL107": "give the layer a bias of zeros",
    "EL108": "train without groups, or with a depthwise and a 1x1 convolution instead",
    "EL109": "use RELU or RELU6, or let the output scale clip",
    "EL110": "change that number before training",
    "EL111": "quantize the weights per tensor",
    "EL112": "give both tensors one scale: share their fake-quantization",
    "EL113": "write the scale that the operator has",
    "EL114": "choose scales nearer to each other",
}
