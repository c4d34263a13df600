"""Operators of a .tflite file as operations of a graph: ``lowering`` undone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgesr.errors import GraphError
from edgesr.graph.ops import (
    Activation,
    Add,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Pad,
    Padding,
    Relu,
    Relu6,
    SpaceToDepth,
)
from edgesr.quant.affine import bias_scales
from edgesr.quant.int16x8 import WIDE_BITS
from edgesr.quant.scheme import WEIGHT_MAX, QParams, QuantizedWeight

READABLE = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "ADD",
    "CONCATENATION",
    "DEPTH_TO_SPACE",
    "SPACE_TO_DEPTH",
    "PAD",
    "RELU",
    "RELU6",
)

_ACTIVATIONS: Mapping[int, Activation] = {
    schema.ActivationFunctionType.NONE: "none",
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu6",
}
_PADDINGS: Mapping[int, Padding] = {schema.Padding.SAME: "same", schema.Padding.VALID: "valid"}
_CHANNEL_AXES = (3, -1)
_NUM_LAYER_INPUTS = 3
_BIAS_TOLERANCE = 1e-5


class Tensors(Protocol):
    """What ``read_op`` asks about the file."""

    names: dict[int, str]
    grids: dict[str, QParams]

    def activation(self, number: int) -> str:
        """Return the name of a computed tensor after taking its grid."""

    def grid(self, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return scales and zero points."""

    def constant(self, number: int, dtype: str) -> npt.NDArray[Any]:
        """Return the content of a constant."""

    def label(self, number: int) -> str:
        """Return a tensor's name in the file."""


@dataclass(frozen=True, kw_only=True)
class OpFacts:
    """One operator of the file.

    Attributes:
        code: TFLite's name.
        where: for messages.
        inputs: tensor numbers.
        output: tensor number.
        options: the schema's options object, or None.
    """

    code: str
    where: str
    inputs: list[int]
    output: int
    options: Any


def read_op(tensors: Tensors, facts: OpFacts) -> tuple[Op, QuantizedWeight | None]:
    """Return the operation, and the integers of a convolution.

    Raises:
        GraphError: the operator, or an option of it, has no integer simulation.
    """
    if facts.code not in READABLE:
        raise GraphError(
            f"{facts.where} is not simulated end to end; these are: {', '.join(READABLE)}"
        )
    if facts.code in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
        return _layer(tensors, facts)
    return _plain(tensors, facts), None


def _plain(tensors: Tensors, facts: OpFacts) -> Op:  # noqa: PLR0911 - one case an op
    count = 1 if facts.code == "PAD" else len(facts.inputs)
    inputs = tuple(tensors.activation(number) for number in facts.inputs[:count])
    output = tensors.activation(facts.output)
    names: dict[str, Any] = {"name": output, "inputs": inputs, "output": output}
    if facts.code == "ADD":
        return Add(**names, activation=_activation(facts))
    target = tensors.grids[output]
    widths = {tensors.grids[name].bits for name in inputs}
    narrows = facts.code == "DEPTH_TO_SPACE" and widths != {target.bits}  # behind a QUANTIZE
    if not narrows and any(tensors.grids[name] != target for name in inputs):
        raise GraphError(f"{facts.where}: input and output are on different grids, want one")
    match facts.code:
        case "CONCATENATION":
            _want(facts, "axis", facts.options.axis, _CHANNEL_AXES)
            _want(facts, "activation", facts.options.fusedActivationFunction, (0,))
            return Concatenation(**names)
        case "DEPTH_TO_SPACE":
            return DepthToSpace(**names, block=int(facts.options.blockSize))
        case "SPACE_TO_DEPTH":
            return SpaceToDepth(**names, block=int(facts.options.blockSize))
        case "PAD":
            return _pad(tensors, facts, names)
        case "RELU":
            return Relu(**names)
        case _:
            return Relu6(**names)


def _pad(tensors: Tensors, facts: OpFacts, names: dict[str, Any]) -> Pad:
    sides = tensors.constant(facts.inputs[1], "INT32")
    if sides.shape != (4, 2) or sides[0].any() or sides[3].any() or (sides < 0).any():
        raise GraphError(f"{facts.where}: pads more than height and width")
    (top, bottom), (left, right) = sides[1].tolist(), sides[2].tolist()
    label = tensors.label(facts.inputs[1])
    name = label.removesuffix("/sides") if label.endswith("/sides") else names["name"]
    return Pad(**{**names, "name": name}, before=(top, left), after=(bottom, right))


def _layer(tensors: Tensors, facts: OpFacts) -> tuple[Op, QuantizedWeight]:
    depthwise = facts.code == "DEPTHWISE_CONV_2D"
    options = facts.options
    if len(facts.inputs) != _NUM_LAYER_INPUTS:
        raise GraphError(f"{facts.where}: {len(facts.inputs)} inputs, want data, weight and bias")
    _want(facts, "dilation", (options.dilationHFactor, options.dilationWFactor), ((1, 1),))
    _want(facts, "padding", options.padding, tuple(_PADDINGS))
    source, output = tensors.activation(facts.inputs[0]), tensors.activation(facts.output)
    values = tensors.constant(facts.inputs[1], "INT8")
    bias = _bias(tensors, facts, wide=tensors.grids[source].bits == WIDE_BITS)
    axis = 3 if depthwise else 0
    if values.ndim != 4 or bias.shape != (values.shape[axis],):  # noqa: PLR2004 - axes
        raise GraphError(f"{facts.where}: weight {values.shape} and bias {bias.shape} do not fit")
    if depthwise:
        _want(facts, "depth multiplier", options.depthMultiplier, (1,))
    scales = _weight_scales(tensors, facts, len(bias))
    if values.min() < -WEIGHT_MAX:
        raise GraphError(f"{facts.where}: a weight is -128, want -127 to 127")
    steps = bias_scales(tensors.grids[source].scale, scales)
    found, _ = tensors.grid(facts.inputs[2])
    if not np.allclose(found, steps, rtol=_BIAS_TOLERANCE, atol=0):
        raise GraphError(f"{facts.where}: the bias is not on the grid input scale * weight scale")
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    label = tensors.label(facts.inputs[1])
    kind = DepthwiseConv2D if depthwise else Conv2D
    op = kind(
        name=label.removesuffix("/weight") if label.endswith("/weight") else output,
        inputs=(source,),
        output=output,
        weight=values.astype(np.float32) * scales.reshape(shape),
        bias=(bias * steps.astype(np.float64)).astype(np.float32),
        stride=(int(options.strideH), int(options.strideW)),
        padding=_PADDINGS[options.padding],
        activation=_activation(facts),
    )
    return op, QuantizedWeight(values=values, scales=scales, bias=bias)


def _bias(tensors: Tensors, facts: OpFacts, *, wide: bool) -> npt.NDArray[np.int32]:
    """Return the bias: int32, or int64 beside int16 activations."""
    bias = tensors.constant(facts.inputs[2], "INT64" if wide else "INT32")
    if wide and np.abs(bias).max(initial=0) > np.iinfo(np.int32).max:
        raise GraphError(f"{facts.where}: a bias is beyond 32 bits, which is not simulated")
    return bias.astype(np.int32)


def _weight_scales(tensors: Tensors, facts: OpFacts, channels: int) -> npt.NDArray[np.float32]:
    scales, zeros = tensors.grid(facts.inputs[1])
    if zeros.any():
        raise GraphError(f"{facts.where}: weight zero points are not 0")
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise GraphError(f"{facts.where}: a weight scale is not a positive finite number")
    if len(scales) not in {1, channels}:
        raise GraphError(f"{facts.where}: {len(scales)} weight scales for {channels} channels")
    return np.broadcast_to(scales, (channels,)).copy()


def _activation(facts: OpFacts) -> Activation:
    fused = facts.options.fusedActivationFunction
    _want(facts, "activation", fused, tuple(_ACTIVATIONS))
    return _ACTIVATIONS[fused]


def _want(facts: OpFacts, what: str, found: Any, wanted: tuple[Any, ...]) -> None:
    if found not in wanted:
        options = " or ".join(str(one) for one in wanted)
        raise GraphError(f"{facts.where}: {what} {found} is not simulated, want {options}")
