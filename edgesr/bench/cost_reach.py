"""Receptive field of a traced network: which input pixels an output pixel depends on.

Rows and columns are followed apart. For every pixel of a tensor the first and the last input pixel
that it depends on are kept; an operation maps these two lists to the next ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.bench.cost_rules import CONVOLUTIONS, POINTWISE, RESIZES, is_transposed
from edgesr.bench.cost_trace import Call, Trace

Pixels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """What the pixels along one axis of a tensor depend on.

    Attributes:
        dim: which axis of the tensor it is.
        low: for every pixel the first input pixel.
        high: for every pixel the last one.
    """

    dim: int
    low: Pixels
    high: Pixels

    @property
    def size(self) -> int:
        """Pixels along the axis."""
        return len(self.low)

    def through(self, first: Pixels, last: Pixels) -> "Axis":
        """Return the axis of an output whose pixel ``i`` reads pixels ``first[i] ... last[i]``."""
        end = self.size - 1
        return replace(self, low=self.low[first.clip(0, end)], high=self.high[last.clip(0, end)])

    def joined(self, other: "Axis") -> "Axis":
        """Return the axis that covers both; one pixel is broadcast over all."""
        return replace(
            self, low=np.minimum(self.low, other.low), high=np.maximum(self.high, other.high)
        )

    def width(self) -> int:
        """Return the most input pixels that any pixel depends on."""
        return int((self.high - self.low).max()) + 1


Seen = tuple[Axis, Axis]


class UnknownReachError(Exception):
    """An operation sees the whole image, or its reach is not known; the message says which."""


def receptive_field(trace: Trace) -> tuple[int | None, str]:
    """Return the width of the receptive field in input pixels, or None with the reason.

    It is cut off at the image: a width equal to a side of the image says "at least".
    """
    sides = [np.arange(side) for side in trace.image.shape[2:]]
    start = (Axis(dim=2, low=sides[0], high=sides[0]), Axis(dim=3, low=sides[1], high=sides[1]))
    seen: dict[int, Seen] = {id(trace.image): start}
    try:
        for call in trace.calls:
            if call.of_image:
                after = _after(call, seen)
                seen.update({id(output): after for output in call.outputs})
    except UnknownReachError as reason:
        return None, str(reason)
    last = seen.get(id(trace.output))
    if last is None:
        return None, "the output is not made of the image"
    return max(axis.width() for axis in last), ""


def _after(call: Call, seen: Mapping[int, Seen]) -> Seen:
    inputs = [seen[id(tensor)] for tensor in call.tensors if id(tensor) in seen]
    rule = _rule(call.name)
    if rule is None or not inputs:
        raise UnknownReachError(f"the reach of {call.namespace}.{call.name} is not known")
    if len({tuple(axis.dim for axis in one) for one in inputs}) > 1:
        raise UnknownReachError(f"{call.name} joins tensors of different layout")
    rows, columns = inputs[0]
    for other in inputs[1:]:
        rows, columns = rows.joined(other[0]), columns.joined(other[1])
    return rule(call, (rows, columns))


def _rule(name: str) -> Callable[[Call, Seen], Seen] | None:
    if name in POINTWISE:
        return _same
    if name in CONVOLUTIONS:
        return _convolution
    if name in RESIZES:
        return _resize
    return _RULES.get(name)


def _same(call: Call, seen: Seen) -> Seen:
    del call
    return seen


def _each(
    call: Call, seen: Seen, lines: Callable[[int, Axis, Pixels], tuple[Pixels, Pixels]]
) -> Seen:
    """Apply ``lines(0 or 1, axis, output pixels)``, which gives first and last pixels read."""
    made = [
        axis.through(*lines(k, axis, np.arange(call.outputs[0].shape[axis.dim])))
        for k, axis in enumerate(seen)
    ]
    return made[0], made[1]


def _convolution(call: Call, seen: Seen) -> Seen:
    transposed = is_transposed(call.name, call.args)
    names = ["input", "weight", "bias", "stride", "padding", "dilation"]
    if call.name.startswith("conv_transpose"):
        names[5:] = ["output_padding", "groups", "dilation"]
    options = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    kernel = call.args[1].shape[2:]
    stride, dilation = _pair(options.get("stride", 1)), _pair(options.get("dilation", 1))
    padding = _padding(options.get("padding", 0), kernel, dilation)

    def lines(k: int, axis: Axis, pixels: Pixels) -> tuple[Pixels, Pixels]:
        del axis
        reach = dilation[k] * (kernel[k] - 1)
        if transposed:
            last = pixels + padding[k]
            return -((reach - last) // stride[k]), last // stride[k]
        first = pixels * stride[k] - padding[k]
        return first, first + reach

    return _each(call, seen, lines)


def _padding(given: Any, kernel: tuple[int, ...], dilation: tuple[int, int]) -> tuple[int, int]:
    if given == "valid":
        return 0, 0
    if given == "same":
        return dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2
    return _pair(given)


def _pool(call: Call, seen: Seen) -> Seen:
    named = ("input", "kernel_size", "stride", "padding")
    options = {**dict(zip(named, call.args, strict=False)), **call.kwargs}
    kernel = _pair(options["kernel_size"])
    stride = _pair(options.get("stride") or kernel)
    padding = _pair(options.get("padding", 0))

    def lines(k: int, axis: Axis, pixels: Pixels) -> tuple[Pixels, Pixels]:
        del axis
        first = pixels * stride[k] - padding[k]
        return first, first + kernel[k] - 1

    return _each(call, seen, lines)


def _resize(call: Call, seen: Seen) -> Seen:
    nearest = call.name == "upsample_nearest2d"
    corners = not nearest and bool(call.args[2])

    def lines(k: int, axis: Axis, pixels: Pixels) -> tuple[Pixels, Pixels]:
        del k
        size = len(pixels)
        if nearest:
            return pixels * axis.size // size, pixels * axis.size // size
        # the position is above / below, in whole numbers
        above, below = (2 * pixels + 1) * axis.size - size, 2 * size
        if corners:
            above, below = pixels * (axis.size - 1), max(size - 1, 1)
        first, last = above // below, -(-above // below)
        wider = 1 if call.name == "upsample_bicubic2d" else 0
        between = (first != last) * wider
        return first - between, last + between

    return _each(call, seen, lines)


def _shuffle(call: Call, seen: Seen) -> Seen:
    block = int(call.args[1])
    return _each(call, seen, lambda _, __, pixels: (pixels // block, pixels // block))


def _unshuffle(call: Call, seen: Seen) -> Seen:
    block = int(call.args[1])
    return _each(call, seen, lambda _, __, pixels: (pixels * block, pixels * block + block - 1))


def _pad(call: Call, seen: Seen) -> Seen:
    pads, rank = list(call.args[1]), call.args[0].ndim

    def lines(k: int, axis: Axis, pixels: Pixels) -> tuple[Pixels, Pixels]:
        del k
        position = 2 * (rank - 1 - axis.dim)
        source = pixels - (pads[position] if position < len(pads) else 0)
        return source, source

    return _each(call, seen, lines)


def _slice(call: Call, seen: Seen) -> Seen:
    named = ("input", "dim", "start", "end", "step")
    options = {**dict(zip(named, call.args, strict=False)), **call.kwargs}
    dim, step = options.get("dim", 0) % call.args[0].ndim, options.get("step", 1)

    def lines(k: int, axis: Axis, pixels: Pixels) -> tuple[Pixels, Pixels]:
        del k
        start = options.get("start") or 0
        begin = max(start + axis.size, 0) if start < 0 else start
        source = begin + pixels * step if axis.dim == dim else pixels
        return source, source

    return _each(call, seen, lines)


def _permute(call: Call, seen: Seen) -> Seen:
    rank = call.args[0].ndim
    order = list(range(rank))
    if call.name == "transpose":
        a, b = (dim % rank for dim in call.args[1:3])
        order[a], order[b] = order[b], order[a]
    else:
        order = [dim % rank for dim in call.args[1]]
    rows, columns = (replace(axis, dim=order.index(axis.dim)) for axis in seen)
    return rows, columns


def _linear(call: Call, seen: Seen) -> Seen:
    if call.args[0].ndim - 1 in {axis.dim for axis in seen}:
        raise UnknownReachError("a linear layer along rows or columns sees the whole image")
    return seen


def _along(position: int) -> Callable[[Call, Seen], Seen]:
    """Make the rule of an operation along the axis that argument ``position`` names."""

    def rule(call: Call, seen: Seen) -> Seen:
        found = call.args[position] if len(call.args) > position else call.kwargs.get("dim")
        if found is None and call.name in {"mean", "sum", "var"}:
            return _whole(call, seen)
        source = next(tensor for tensor in call.tensors if tensor.ndim == len("nchw"))
        dims = found if isinstance(found, (list, tuple)) else [found or 0]
        if {dim % source.ndim for dim in dims} & {axis.dim for axis in seen}:
            raise UnknownReachError(f"{call.name} along rows or columns sees the whole image")
        if call.outputs[0].ndim != source.ndim:
            raise UnknownReachError(f"the reach of {call.name} that drops an axis is not known")
        return seen

    return rule


def _whole(call: Call, seen: Seen) -> Seen:
    del seen
    raise UnknownReachError(f"{call.name} sees the whole image")


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else (list(value) * 2)[:2]
    return int(first), int(second)


_RULES: Mapping[str, Callable[[Call, Seen], Seen]] = MappingProxyType(
    {
        "adaptive_avg_pool2d": _whole,
        "adaptive_max_pool2d": _whole,
        "avg_pool2d": _pool,
        "cat": _along(1),
        "chunk": _along(2),
        "constant_pad_nd": _pad,
        "index_select": _along(1),
        "linear": _linear,
        "max_pool2d": _pool,
        "mean": _along(1),
        "pad": _pad,
        "permute": _permute,
        "pixel_shuffle": _shuffle,
        "pixel_unshuffle": _unshuffle,
        "repeat_interleave": _along(2),
        "slice": _slice,
        "split": _along(2),
        "split_with_sizes": _along(2),
        "sum": _along(1),
        "transpose": _permute,
        "var": _along(1),
    }
)
