"""What every traced torch operation becomes in a graph."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from edgesr.errors import GraphError
from edgesr.graph.ops import (
    Add,
    ChannelAffine,
    ChannelGather,
    Clip,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    Floats,
    Op,
    Pad,
    Padding,
    PixelShuffle,
    Relu,
    Relu6,
    ResizeNearest,
)

_CHANNEL_AXES = (1, -3)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One traced operation.

    Attributes:
        name: layer name for the operation, unique in the graph.
        output: name of the tensor that it makes.
        args: positional arguments: names for tensors that are computed, tensors for constants.
        kwargs: named arguments, likewise.
        channels: channels of the first computed tensor.
    """

    name: str
    output: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    channels: int = 0

    def arg(self, index: int, default: Any = None) -> Any:
        """Return positional argument ``index`` or ``default`` where it was left out."""
        return self.args[index] if len(self.args) > index else default

    def refuse(self, found: str, wanted: str) -> GraphError:
        """Make the error for an operation that is supported in another form only."""
        return GraphError(f"layer {self.name}: {found} is not supported; {wanted}")


def _conv2d(call: Call) -> list[Op]:
    source, weight = call.args[:2]
    bias = call.arg(2)
    stride = _pair(call.arg(3, 1))
    dilation, groups = _pair(call.arg(5, 1)), call.arg(6, 1)
    if isinstance(source, Tensor) or not isinstance(weight, Tensor):
        raise call.refuse("convolution with a computed weight", "use a parameter as the weight")
    if dilation != (1, 1):
        raise call.refuse(f"dilation {dilation}", "use dilation 1")
    count, per_group, height, width = weight.shape
    pads = _conv_pads(call, height, width)
    ops: list[Op] = []
    padding: Padding = "valid"
    if pads == (0, 0):
        padding = "same" if (height, width) == (1, 1) else "valid"
    elif stride == (1, 1) and (2 * pads[0] + 1, 2 * pads[1] + 1) == (height, width):
        padding = "same"
    else:
        pad = f"{call.name}.pad"
        ops.append(Pad(name=pad, inputs=(source,), output=pad, before=pads, after=pads))
        source = pad
    offsets = np.zeros(count, np.float32) if bias is None else _floats(bias)
    shared: dict[str, Any] = {"name": call.name, "inputs": (source,), "output": call.output}
    shared |= {"bias": offsets, "stride": stride, "padding": padding}
    if groups == 1:
        return [*ops, Conv2D(weight=_floats(weight.permute(0, 2, 3, 1)), **shared)]
    if groups == count and per_group == 1 and call.channels == count:
        return [*ops, DepthwiseConv2D(weight=_floats(weight.permute(1, 2, 3, 0)), **shared)]
    # CONV_2D has groups in few kernel families: the same layer with zeros between the groups
    return [*ops, Conv2D(weight=_dense(_floats(weight.permute(0, 2, 3, 1)), groups), **shared)]


def _dense(weight: Floats, groups: int) -> Floats:
    """Return the weight ``(out, h, w, in)`` of one group that ``(out, h, w, in / groups)`` is."""
    count, height, width, per_group = weight.shape
    dense = np.zeros((groups, count // groups, height, width, groups, per_group), np.float32)
    parts = weight.reshape(groups, count // groups, height, width, per_group)
    for group in range(groups):
        dense[group, :, :, :, group] = parts[group]
    return dense.reshape(count, height, width, groups * per_group)


def _conv_pads(call: Call, height: int, width: int) -> tuple[int, int]:
    padding = call.arg(4, 0)
    if padding == "valid":
        return 0, 0
    if padding == "same":
        if height % 2 == 0 or width % 2 == 0:
            raise call.refuse(f"padding 'same' of a {height}x{width} kernel", "use an odd kernel")
        return height // 2, width // 2
    return _pair(padding)


def _batch_norm(call: Call) -> list[Op]:
    gain, shift, mean, variance = (
        None if value is None else value.double() for value in call.args[1:5]
    )
    if call.arg(5) or mean is None or variance is None:
        raise call.refuse("batch norm with batch statistics", "use running statistics (eval mode)")
    factor = 1.0 / (variance + call.arg(7, 1e-5)).sqrt()
    factor = factor if gain is None else factor * gain
    offset = -mean * factor if shift is None else shift - mean * factor
    return [_affine(call, call.args[0], factor, offset)]


def _add(call: Call) -> list[Op]:
    first, second = call.args[:2]
    if call.kwargs.get("alpha", 1) != 1:
        raise call.refuse("add with alpha", "scale the operand in its convolution")
    if isinstance(first, str) and isinstance(second, str):
        return [Add(name=call.name, inputs=(first, second), output=call.output)]
    source, constant = (first, second) if isinstance(first, str) else (second, first)
    return [_affine(call, source, 1.0, constant)]


def _sub(call: Call) -> list[Op]:
    first, second = call.args[:2]
    if not isinstance(first, str) or isinstance(second, str):
        raise call.refuse("subtraction of a tensor", "negate the weights and add")
    return [_affine(call, first, 1.0, -second)]


def _mul(call: Call) -> list[Op]:
    first, second = call.args[:2]
    if isinstance(first, str) and isinstance(second, str):
        raise call.refuse("product of two tensors", "use a convolution or ADD")
    source, constant = (first, second) if isinstance(first, str) else (second, first)
    return [_affine(call, source, constant, 0.0)]


def _div(call: Call) -> list[Op]:
    first, second = call.args[:2]
    if not isinstance(first, str) or isinstance(second, str):
        raise call.refuse("division by a tensor", "divide by a constant")
    return [_affine(call, first, 1.0 / second, 0.0)]


def _concatenation(call: Call) -> list[Op]:
    sources = call.args[0]
    _want_channels(call, call.arg(1, 0))
    if not all(isinstance(source, str) for source in sources):
        raise call.refuse("concatenation with a constant", "add the constant as a bias")
    return [Concatenation(name=call.name, inputs=tuple(sources), output=call.output)]


def _index_select(call: Call) -> list[Op]:
    _want_channels(call, call.args[1])
    order = tuple(int(index) for index in call.args[2])
    return [_gather(call, order)]


def _repeat_interleave(call: Call) -> list[Op]:
    _want_channels(call, call.arg(2, call.kwargs.get("dim")))
    order = np.repeat(np.arange(call.channels), int(call.args[1]))
    return [_gather(call, tuple(order.tolist()))]


def _repeat(call: Call) -> list[Op]:
    counts = list(call.args[1])
    if len(counts) != len("nchw") or [*counts[:1], *counts[2:]] != [1, 1, 1]:
        raise call.refuse(f"repeat {counts}", "repeat channels only: (1, k, 1, 1)")
    return [_gather(call, tuple(range(call.channels)) * counts[1])]


def _pixel_shuffle(call: Call) -> list[Op]:
    block = int(call.args[1])
    return [PixelShuffle(name=call.name, inputs=call.args[:1], output=call.output, block=block)]


def _relu(call: Call) -> list[Op]:
    return [Relu(name=call.name, inputs=call.args[:1], output=call.output)]


def _relu6(call: Call) -> list[Op]:
    return [Relu6(name=call.name, inputs=call.args[:1], output=call.output)]


def _clip(call: Call) -> list[Op]:
    low = call.arg(1, call.kwargs.get("min"))
    high = call.arg(2, call.kwargs.get("max"))
    if isinstance(low, (str, Tensor)) or isinstance(high, (str, Tensor)):
        raise call.refuse("clamp with tensor bounds", "use numbers as bounds")
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    if (low, high) == (0.0, math.inf):
        return _relu(call)
    if (low, high) == (0.0, 6.0):
        return _relu6(call)
    return [Clip(name=call.name, inputs=call.args[:1], output=call.output, low=low, high=high)]


def _hardtanh(call: Call) -> list[Op]:
    bounds = (call.args[0], call.arg(1, -1.0), call.arg(2, 1.0))
    return _clip(Call(name=call.name, output=call.output, args=bounds))


def _pad(call: Call) -> list[Op]:
    pads = list(call.args[1])
    mode = call.arg(2, "constant")
    value = call.arg(3, 0.0)
    if isinstance(mode, (int, float)):
        mode, value = "constant", mode
    if mode != "constant" or value:
        raise call.refuse(f"{mode} padding with value {value or 0}", "pad with zeros")
    if len(pads) != len("lrtb") or min(pads) < 0:
        raise call.refuse(f"padding {pads}", "pad height and width by 0 or more")
    left, right, top, bottom = pads
    sides = {"before": (top, left), "after": (bottom, right)}
    return [Pad(name=call.name, inputs=call.args[:1], output=call.output, **sides)]


def _resize_nearest(call: Call) -> list[Op]:
    factors = call.arg(2)
    if not factors or len(set(factors)) != 1 or factors[0] != int(factors[0]):
        raise call.refuse("resize to a size or by a fraction", "use a whole scale_factor")
    factor = int(factors[0])
    return [ResizeNearest(name=call.name, inputs=call.args[:1], output=call.output, factor=factor)]


def _affine(call: Call, source: str, gain: Any, shift: Any) -> ChannelAffine:
    return ChannelAffine(
        name=call.name,
        inputs=(source,),
        output=call.output,
        gain=_column(call, gain),
        shift=_column(call, shift),
    )


def _column(call: Call, value: Any) -> Floats:
    """Spread a number, or a constant of shape (c,), (c, 1, 1) or (1, c, 1, 1), over channels."""
    numbers = value.double().numpy() if isinstance(value, Tensor) else np.asarray(value, np.float64)
    if numbers.size not in {1, call.channels}:
        raise call.refuse(f"constant of shape {numbers.shape}", "use one number per channel")
    if numbers.size > 1 and numbers.ndim > 1 and numbers.shape[-2:] != (1, 1):
        raise call.refuse(f"constant of shape {numbers.shape}", "use one number per channel")
    return np.broadcast_to(numbers.reshape(-1), (call.channels,)).astype(np.float32)


def _gather(call: Call, order: tuple[int, ...]) -> ChannelGather:
    return ChannelGather(name=call.name, inputs=call.args[:1], output=call.output, order=order)


def _want_channels(call: Call, axis: Any) -> None:
    if axis not in _CHANNEL_AXES:
        raise call.refuse(f"an operation along axis {axis}", "use the channel axis, 1")


def _floats(value: Tensor) -> Floats:
    return np.ascontiguousarray(value.detach().float().numpy())


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else (list(value) * 2)[:2]
    return int(first), int(second)


TRANSLATIONS: Mapping[str, Callable[[Call], list[Op]]] = MappingProxyType(
    {
        "aten.conv2d.default": _conv2d,
        "aten.conv2d.padding": _conv2d,
        "aten.batch_norm.default": _batch_norm,
        "aten.add.Tensor": _add,
        "aten.sub.Tensor": _sub,
        "aten.mul.Tensor": _mul,
        "aten.div.Tensor": _div,
        "aten.cat.default": _concatenation,
        "aten.index_select.default": _index_select,
        "aten.repeat_interleave.self_int": _repeat_interleave,
        "aten.repeat.default": _repeat,
        "aten.pixel_shuffle.default": _pixel_shuffle,
        "aten.relu.default": _relu,
        "aten.relu6.default": _relu6,
        "aten.hardtanh.default": _hardtanh,
        "aten.clamp.default": _clip,
        "aten.clamp_min.default": _clip,
        "aten.pad.default": _pad,
        "aten.constant_pad_nd.default": _pad,
        "aten.upsample_nearest2d.vec": _resize_nearest,
    }
)

IDENTITIES = frozenset(
    {
        "aten.alias.default",
        "aten.clone.default",
        "aten.contiguous.default",
        "aten.detach.default",
        "aten.dropout.default",
        "aten.feature_dropout.default",
    }
)
