"""Channel order: torch's pixel shuffle (CRD) as TFLite's DEPTH_TO_SPACE (DCR).

A pixel shuffle is a channel permutation and DEPTH_TO_SPACE. The permutation moves up through the
graph until a convolution absorbs it in its weights or until it meets its inverse.
"""

from dataclasses import replace

import numpy as np

from edgesr.graph.graph import Graph, num_readers, producers, with_ops
from edgesr.graph.ops import (
    Add,
    ChannelGather,
    Clip,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Pad,
    PixelShuffle,
    Relu,
    Relu6,
    ResizeNearest,
)
from edgesr.graph.shapes import infer_shapes

_PROBE_SIZE = 64


def expand_pixel_shuffles(graph: Graph) -> Graph:
    """Replace every PixelShuffle by a channel permutation and DEPTH_TO_SPACE."""
    channels = _channels(graph)
    ops: list[Op] = []
    for op in graph.ops:
        if not isinstance(op, PixelShuffle):
            ops.append(op)
            continue
        name = f"{op.name}.order"
        order = crd_of_dcr(channels[op.output], op.block)
        ops.append(ChannelGather(name=name, inputs=op.inputs, output=name, order=order))
        ops.append(DepthToSpace(name=op.name, inputs=(name,), output=op.output, block=op.block))
    return replace(graph, ops=tuple(ops))


def expand_resizes(graph: Graph) -> Graph:
    """Replace nearest enlargement by a concatenation of copies and DEPTH_TO_SPACE.

    RESIZE_NEAREST_NEIGHBOR would write its output size into the file; this works for every size.
    """
    ops: list[Op] = []
    for op in graph.ops:
        if not isinstance(op, ResizeNearest):
            ops.append(op)
            continue
        name = f"{op.name}.copies"
        copies = op.inputs * op.factor**2
        ops.append(Concatenation(name=name, inputs=copies, output=name))
        ops.append(DepthToSpace(name=op.name, inputs=(name,), output=op.output, block=op.factor))
    return replace(graph, ops=tuple(ops))


def crd_of_dcr(channels: int, block: int) -> tuple[int, ...]:
    """Return for DCR channel ``k * channels + c`` the CRD channel ``c * block**2 + k``."""
    order = np.arange(channels * block**2).reshape(channels, block**2)
    return tuple(order.T.reshape(-1).tolist())


def settle_gathers(graph: Graph) -> Graph:
    """Remove every ChannelGather: absorbed, cancelled, or as a concatenation or 1x1 convolution."""
    while True:
        gathers = [op for op in graph.ops if isinstance(op, ChannelGather)]
        if not gathers:
            return graph
        moved = (_move_up(graph, gather) for gather in gathers)
        graph = next((one for one in moved if one), None) or _materialise(graph, gathers[0])


def _move_up(graph: Graph, gather: ChannelGather) -> Graph | None:
    """Move ``gather`` in front of the operation that feeds it; None where that is not possible."""
    channels = _channels(graph)
    order = np.asarray(gather.order)
    source = producers(graph).get(gather.inputs[0])
    if gather.order == tuple(range(channels[gather.inputs[0]])) and source is not None:
        return _skip(graph, gather, source)
    if source is None or num_readers(graph)[source.output] != 1:
        return None
    ops: list[Op] = [op for op in graph.ops if op is not gather and op is not source]
    match source:
        case ChannelGather():
            joined = tuple(source.order[index] for index in gather.order)
            ops.append(replace(source, output=gather.output, order=joined))
        case Conv2D():
            ops.append(
                replace(
                    source,
                    output=gather.output,
                    weight=np.ascontiguousarray(source.weight[order]),
                    bias=source.bias[order],
                )
            )
        case DepthwiseConv2D():
            moved = _before(gather, source.inputs[0], 0)
            weight = np.ascontiguousarray(source.weight[..., order])
            bias = source.bias[order]
            inputs = (moved.output,)
            ops.append(
                replace(source, inputs=inputs, output=gather.output, weight=weight, bias=bias)
            )
            ops.append(moved)
        case Add() | Relu() | Relu6() | Clip() | Pad():
            moved_inputs = [_before(gather, name, at) for at, name in enumerate(source.inputs)]
            names = tuple(moved.output for moved in moved_inputs)
            ops += [*moved_inputs, replace(source, inputs=names, output=gather.output)]
        case Concatenation():
            parts = _parts(source, channels)
            chosen = [parts[index] for index in gather.order]
            whole = _whole_inputs(chosen, channels)
            if whole is None:
                return None
            ops.append(replace(source, inputs=whole, output=gather.output))
        case _:
            return None
    return with_ops(graph, ops)


def _skip(graph: Graph, gather: ChannelGather, source: Op) -> Graph | None:
    """Remove a gather that changes nothing."""
    others = [op for op in graph.ops if op is not gather]
    if gather.output not in graph.outputs:
        names = {gather.output: source.output}
        return with_ops(
            graph,
            [replace(op, inputs=tuple(names.get(n, n) for n in op.inputs)) for op in others],
        )
    if num_readers(graph)[source.output] != 1:
        return None
    return with_ops(
        graph, [replace(op, output=gather.output) if op is source else op for op in others]
    )


def _before(gather: ChannelGather, tensor: str, at: int) -> ChannelGather:
    name = f"{gather.name}.{at}"
    return ChannelGather(name=name, inputs=(tensor,), output=name, order=gather.order)


def _parts(source: Concatenation, channels: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, index) for name in source.inputs for index in range(channels[name])]


def _whole_inputs(
    chosen: list[tuple[str, int]], channels: dict[str, int]
) -> tuple[str, ...] | None:
    """Return tensors whose concatenation has exactly the chosen channels, if there are such."""
    names: list[str] = []
    at = 0
    while at < len(chosen):
        name = chosen[at][0]
        whole = [(name, index) for index in range(channels[name])]
        if chosen[at : at + len(whole)] != whole:
            return None
        names.append(name)
        at += len(whole)
    return tuple(names)


def _materialise(graph: Graph, gather: ChannelGather) -> Graph:
    """Write a gather that nothing absorbs as a concatenation or as an exact 1x1 convolution."""
    count = _channels(graph)[gather.inputs[0]]
    whole = _whole_inputs([(gather.inputs[0], i) for i in gather.order], {gather.inputs[0]: count})
    new: Op
    if whole is not None:
        new = Concatenation(name=gather.name, inputs=whole, output=gather.output)
    else:
        weight = np.eye(count, dtype=np.float32)[list(gather.order)][:, None, None, :]
        new = Conv2D(
            name=gather.name,
            inputs=gather.inputs,
            output=gather.output,
            weight=np.ascontiguousarray(weight),
            bias=np.zeros(len(gather.order), np.float32),
        )
    return with_ops(graph, [new if op is gather else op for op in graph.ops])


def _channels(graph: Graph) -> dict[str, int]:
    return {name: shape[2] for name, shape in infer_shapes(graph, _PROBE_SIZE, _PROBE_SIZE).items()}
