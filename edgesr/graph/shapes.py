"""Shapes of a graph's tensors for one input size."""

from collections.abc import Mapping

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph
from edgesr.graph.ops import (
    ChannelGather,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Pad,
    PixelShuffle,
    ResizeNearest,
    SpaceToDepth,
    WeightedOp,
)

Shape = tuple[int, int, int]
"""Height, width, channels."""


def infer_shapes(graph: Graph, height: int, width: int) -> dict[str, Shape]:
    """Return ``(h, w, c)`` of every tensor when inputs are ``height`` x ``width``.

    Inputs that are ``enlarged`` have so many times this size.

    Raises:
        GraphError: an operation gets shapes that it cannot take.
    """
    shapes: dict[str, Shape] = {
        spec.name: (height * spec.enlarged, width * spec.enlarged, spec.channels)
        for spec in graph.inputs
    }
    for op in graph.ops:
        shapes[op.output] = _shape(op, shapes)
    return shapes


def upscaling_factor(graph: Graph) -> int:
    """Return how much larger the output is than the input.

    Raises:
        GraphError: it is no whole factor.
    """
    size = 24
    shapes = infer_shapes(graph, size, size)
    height, width, _ = shapes[graph.outputs[0]]
    scale, rest = divmod(height, size)
    if rest or scale < 1 or width != height:
        raise GraphError(
            f"{graph.name}: turns {size}x{size} into {height}x{width}, want an enlargement by a "
            "whole factor"
        )
    return scale


def _shape(  # noqa: C901, PLR0911 - one case an op
    op: Op, shapes: Mapping[str, Shape]
) -> Shape:
    height, width, channels = shapes[op.inputs[0]]
    match op:
        case Conv2D():
            _want(op, channels, op.weight.shape[3], "input channels")
            return (*_window(op, height, width), op.weight.shape[0])
        case DepthwiseConv2D():
            _want(op, channels, op.weight.shape[3], "input channels")
            return (*_window(op, height, width), channels)
        case Concatenation():
            for name in op.inputs:
                _want(op, shapes[name][:2], (height, width), "height and width")
            return height, width, sum(shapes[name][2] for name in op.inputs)
        case DepthToSpace(block=block) | PixelShuffle(block=block):
            _want(op, channels % block**2, 0, f"channels modulo {block**2}")
            return height * block, width * block, channels // block**2
        case SpaceToDepth(block=block):
            _want(op, (height % block, width % block), (0, 0), f"height and width modulo {block}")
            return height // block, width // block, channels * block**2
        case ResizeNearest(factor=factor):
            return height * factor, width * factor, channels
        case Pad(before=before, after=after):
            return height + before[0] + after[0], width + before[1] + after[1], channels
        case ChannelGather(order=order):
            return height, width, len(order)
        case _:
            for name in op.inputs:
                _want(op, shapes[name], (height, width, channels), "shape")
            return height, width, channels


def _window(op: WeightedOp, height: int, width: int) -> tuple[int, int]:
    kernel = op.weight.shape[1:3]
    sizes = []
    for size, window, step in zip((height, width), kernel, op.stride, strict=True):
        covered = size if op.padding == "same" else size - window + 1
        sizes.append(-(-covered // step))
    if min(sizes) < 1:
        raise GraphError(
            f"layer {op.name}: a {height}x{width} image is too small for a "
            f"{kernel[0]}x{kernel[1]} kernel without padding"
        )
    return sizes[0], sizes[1]


def _want(op: Op, found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise GraphError(f"layer {op.name}: {what} {found}, want {wanted}")
