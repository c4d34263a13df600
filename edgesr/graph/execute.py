"""Run a graph in float32: the oracle for every other way to run it."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from edgesr.graph.graph import Graph
from edgesr.graph.ops import (
    Activation,
    Add,
    ChannelAffine,
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
    SpaceToDepth,
    WeightedOp,
)

Observe = Callable[[str, Tensor], None]
"""Gets the name and the values, ``(n, c, h, w)``, of every tensor while a graph runs."""

RELU6_MAX = 6.0


@torch.no_grad()
def execute(graph: Graph, *inputs: Tensor, observe: Observe | None = None) -> Tensor:
    """Run ``graph`` on float32 NHWC tensors and return its first output, NHWC.

    Args:
        graph: network, before or after lowering.
        inputs: one ``(n, h, w, c)`` tensor per input of the graph.
        observe: called with every tensor, the inputs included.
    """
    values: dict[str, Tensor] = {}
    for spec, value in zip(graph.inputs, inputs, strict=True):
        values[spec.name] = value.permute(0, 3, 1, 2)
        if observe:
            observe(spec.name, values[spec.name])
    for op in graph.ops:
        values[op.output] = apply(op, values)
        if observe:
            observe(op.output, values[op.output])
    return values[graph.outputs[0]].permute(0, 2, 3, 1).contiguous()


def apply(  # noqa: C901, PLR0911, PLR0912 - one case an op
    op: Op, values: Mapping[str, Tensor]
) -> Tensor:
    """Run one operation on ``(n, c, h, w)`` tensors by name."""
    first, *rest = (values[name] for name in op.inputs)
    match op:
        case Conv2D() | DepthwiseConv2D():
            return activate(_conv(op, first), op.activation)
        case Add():
            return activate(first + rest[0], op.activation)
        case Concatenation():
            return torch.cat([first, *rest], dim=1)
        case DepthToSpace(block=block):
            return depth_to_space(first, block)
        case SpaceToDepth(block=block):
            return space_to_depth(first, block)
        case PixelShuffle(block=block):
            return functional.pixel_shuffle(first, block)
        case Relu():
            return activate(first, "relu")
        case Relu6():
            return activate(first, "relu6")
        case Clip(low=low, high=high):
            return first.clamp(low, high)
        case ResizeNearest(factor=factor):
            return first.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
        case Pad(before=(top, left), after=(bottom, right)):
            return functional.pad(first, (left, right, top, bottom))
        case ChannelGather(order=order):
            return first[:, list(order)]
        case ChannelAffine(gain=gain, shift=shift):
            column = (1, -1, 1, 1)
            return first * torch.from_numpy(gain).view(column) + torch.from_numpy(shift).view(
                column
            )


def activate(value: Tensor, activation: Activation) -> Tensor:
    """Apply a fused activation."""
    if activation == "none":
        return value
    return value.clamp(0.0, RELU6_MAX) if activation == "relu6" else value.clamp(min=0.0)


def depth_to_space(value: Tensor, block: int) -> Tensor:
    """Move channels to pixels in TFLite's order (DCR): ``(n, c * b * b, h, w)`` to larger."""
    count, channels, height, width = value.shape
    split = value.reshape(count, block, block, channels // block**2, height, width)
    merged = split.permute(0, 3, 4, 1, 5, 2)
    return merged.reshape(count, channels // block**2, height * block, width * block)


def space_to_depth(value: Tensor, block: int) -> Tensor:
    """Move pixels to channels in TFLite's order: ``(n, c, h, w)`` to smaller, undoing the above."""
    count, channels, height, width = value.shape
    split = value.reshape(count, channels, height // block, block, width // block, block)
    merged = split.permute(0, 3, 5, 1, 2, 4)
    return merged.reshape(count, channels * block**2, height // block, width // block)


def same_padding(op: WeightedOp, height: int, width: int) -> tuple[int, int, int, int]:
    """Return left, right, top and bottom of TFLite's ``same`` padding; zeros for ``valid``."""
    sides: list[int] = []
    sizes = zip((width, height), op.weight.shape[2:0:-1], op.stride[::-1], strict=True)
    for size, window, step in sizes:
        total = max((-(-size // step) - 1) * step + window - size, 0)
        total = total if op.padding == "same" else 0
        sides += [total // 2, total - total // 2]
    return sides[0], sides[1], sides[2], sides[3]


def convolve(op: WeightedOp, value: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``(n, c, h, w)`` with a weight in TFLite's layout, padding as ``op`` says."""
    left, right, top, bottom = same_padding(op, value.shape[2], value.shape[3])
    padding = (top, left)
    if (left, top) != (right, bottom):
        value = functional.pad(value, (left, right, top, bottom))
        padding = (0, 0)
    groups = 1
    if isinstance(op, DepthwiseConv2D):
        groups = weight.shape[3]
        weight = weight.permute(3, 0, 1, 2)
    else:
        weight = weight.permute(0, 3, 1, 2)
    return functional.conv2d(value, weight, bias, stride=op.stride, padding=padding, groups=groups)


def _conv(op: WeightedOp, value: Tensor) -> Tensor:
    return convolve(op, value, torch.from_numpy(op.weight), torch.from_numpy(op.bias))
