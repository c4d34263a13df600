"""Numbers of an operator against a target's limits: strides, kernels, counts, factors."""

from collections.abc import Iterator

from edgesr.lint.model import Operator, Subgraph
from edgesr.lint.targets import OpRule

Reason = tuple[str, str]
"""Code and what is wrong."""

_IMAGE_RANK = 4


def numbers(graph: Subgraph, op: Operator, rule: OpRule, level: int) -> Iterator[Reason]:
    """Return which numbers of an operator are outside what a rule allows."""
    count = len(graph.read(op))
    if rule.inputs is not None and not rule.inputs[0] <= count <= rule.inputs[1]:
        yield "EL110", f"{op.name} has {count} inputs, taken are {_span(rule.inputs)}"
    strides = [op.options[key] for key in ("stride_w", "stride_h") if key in op.options]
    if rule.max_stride is not None and max(strides, default=1) > rule.max_stride:
        yield "EL110", f"{op.name} has stride {max(strides):g}, taken are up to {rule.max_stride}"
    if rule.strides is not None and not set(strides) <= set(rule.strides):
        yield "EL110", f"{op.name} has stride {max(strides):g}, taken are {_some(rule.strides)}"
    dilation = max(op.option("dilation_w"), op.option("dilation_h"))
    if rule.max_dilation is not None and dilation > rule.max_dilation:
        yield "EL110", f"{op.name} has dilation {dilation}, taken are up to {rule.max_dilation}"
    elif dilation > 1 and level < rule.dilation_level:
        yield "EL105", f"a dilated {op.name} needs feature level {rule.dilation_level}"
    if "block" in op.options and op.option("block") < rule.min_block:
        yield "EL110", f"{op.name} has block {op.option('block')}, want {rule.min_block} or more"
    if not rule.masks and (op.option("ellipsis") or op.option("new_axis")):
        yield "EL110", f"{op.name} has an ellipsis or new-axis mask"
    yield from _options(op, rule, level)
    yield from _kernel(graph, op, rule)
    yield from _moves(graph, op, rule)


def _options(op: Operator, rule: OpRule, level: int) -> Iterator[Reason]:
    if op.option("half_pixel_centers") or op.option("align_corners"):
        if not rule.half_pixel:
            yield "EL110", f"{op.name} has half_pixel_centers or align_corners"
        elif level < rule.half_pixel:
            yield "EL105", f"half-pixel resizing needs feature level {rule.half_pixel}"
    if op.option("keep_num_dims") and not 0 < rule.keep_dims <= level:
        yield "EL110", f"{op.name} keeps its axes"
    multiplier = op.option("depth_multiplier")
    if rule.max_multiplier is not None and multiplier > rule.max_multiplier:
        wanted = f"taken are up to {rule.max_multiplier}"
        yield "EL110", f"{op.name} makes {multiplier} channels of one, {wanted}"
    window = op.option("filter_w") * op.option("filter_h")
    if rule.max_window is not None and window > rule.max_window:
        wanted = f"taken are up to {rule.max_window}"
        yield "EL110", f"{op.name} has a window of {window} pixels, {wanted}"


def _kernel(graph: Subgraph, op: Operator, rule: OpRule) -> Iterator[Reason]:
    weight = graph.input(op, 1)
    if rule.max_kernel is None or weight is None or len(weight.shape) != _IMAGE_RANK:
        return
    high = (weight.shape[1] - 1) * max(1, op.option("dilation_h")) + 1
    wide = (weight.shape[2] - 1) * max(1, op.option("dilation_w")) + 1
    height, product = rule.max_kernel
    if high > height or high * wide > product:
        what = (
            f"{op.name} has a kernel of {high} x {wide}, taken are heights to {height} and "
            f"products to {product}"
        )
        yield "EL110", what


def _moves(graph: Subgraph, op: Operator, rule: OpRule) -> Iterator[Reason]:
    flow, made = graph.flow(op), graph.made(op)
    if rule.permutations is not None and (order := graph.input(op, 1)) is not None:
        values = order.values()
        text = "" if values is None else "".join(str(one) for one in values.ravel())
        if text not in rule.permutations:
            yield "EL110", f"TRANSPOSE {text} is not taken, taken are {_some(rule.permutations)}"
    made_size = max((made[0].shape if made else ())[1:3], default=0)
    if rule.max_size is not None and made_size > rule.max_size:
        yield "EL110", f"{op.name} makes {made_size} pixels, taken are up to {rule.max_size}"
    sizes = [one.shape for one in (*flow[:1], *made[:1])]
    if rule.factors is None or any(len(one) != _IMAGE_RANK or 0 in one for one in sizes):
        return
    (_, high, wide, _), (_, higher, wider, _) = sizes
    ratios = {higher / high, wider / wide}
    if len(ratios) > 1 or not ratios <= set(rule.factors):
        what = (
            f"{op.name} enlarges {high} x {wide} to {higher} x {wider}, "
            f"taken are factors {_some(rule.factors)}"
        )
        yield "EL110", what


def _span(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"


def _some(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values))
