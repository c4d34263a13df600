"""Operators of a .tflite file for the operations of a graph: codes, versions and options."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesr.errors import GraphError
from edgesr.export.flatbuffer import ModelBuilder
from edgesr.graph.ops import (
    Add,
    Clip,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Pad,
    Relu,
    Relu6,
    SpaceToDepth,
)

_CODE = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions
_ACTIVATIONS = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_PADDINGS = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
_CHANNEL_AXIS = 3

Kind = Literal["float32", "dynamic", "int8", "int16"]
"""Which kernel an operator needs; ``dynamic`` has float32 activations and int8 weights."""

_VERSIONS: Mapping[str, Mapping[Kind, int]] = MappingProxyType(
    {
        "CONV_2D": {"float32": 1, "int8": 3, "int16": 4, "dynamic": 5},
        "DEPTHWISE_CONV_2D": {"float32": 1, "int8": 3, "int16": 5, "dynamic": 6},
        "": {"float32": 1, "int8": 2, "int16": 3},
    }
)
"""Lowest operator version with a kernel, by operator; "" is all others."""


def add_operator(
    model: ModelBuilder, op: Op, inputs: list[int], output: int, *, kind: Kind
) -> None:
    """Add ``op`` to the file; convolutions get weight and bias as second and third input.

    Integer kernels came in later operator versions than float ones. DEPTH_TO_SPACE stays at version
    1, because the reference kernels refuse version 2.

    Raises:
        GraphError: the operation has no TFLite form; lower the graph first.
    """
    version = _VERSIONS[""].get(kind, 1)
    match op:
        case Conv2D() | DepthwiseConv2D():
            _add_convolution(model, op, inputs, output, kind=kind)
        case Add():
            options = schema.AddOptionsT()
            options.fusedActivationFunction = _ACTIVATIONS[op.activation]
            options.potScaleInt16 = False
            tagged = (_OPTIONS.AddOptions, options)
            model.operator(_CODE.ADD, inputs, output, version=version, options=tagged)
        case Concatenation():
            options = schema.ConcatenationOptionsT()
            options.axis = _CHANNEL_AXIS
            tagged = (_OPTIONS.ConcatenationOptions, options)
            model.operator(_CODE.CONCATENATION, inputs, output, version=version, options=tagged)
        case DepthToSpace():
            options = schema.DepthToSpaceOptionsT()
            options.blockSize = op.block
            tagged = (_OPTIONS.DepthToSpaceOptions, options)
            model.operator(_CODE.DEPTH_TO_SPACE, inputs, output, options=tagged)
        case SpaceToDepth():
            options = schema.SpaceToDepthOptionsT()
            options.blockSize = op.block
            tagged = (_OPTIONS.SpaceToDepthOptions, options)
            model.operator(_CODE.SPACE_TO_DEPTH, inputs, output, version=version, options=tagged)
        case Relu():
            model.operator(_CODE.RELU, inputs, output, version=version)
        case Relu6():
            model.operator(_CODE.RELU6, inputs, output, version=version)
        case Pad(before=before, after=after):
            sides = np.array([(0, 0), *zip(before, after, strict=True), (0, 0)], np.int32)
            constant = model.tensor(f"{op.name}/sides", sides.shape, np.int32, data=sides)
            tagged = (_OPTIONS.PadOptions, schema.PadOptionsT())
            model.operator(_CODE.PAD, [*inputs, constant], output, version=version, options=tagged)
        case _:
            raise GraphError(f"layer {op.name}: {type(op).__name__} has no form in a .tflite file")


def add_clip(model: ModelBuilder, op: Clip, source: int, middle: int, output: int) -> None:
    """Add a float clip: MINIMUM into tensor ``middle``, MAXIMUM or RELU into ``output``."""
    high = _number(model, f"{op.name}/high", op.high)
    options: Any = (_OPTIONS.MaximumMinimumOptions, schema.MaximumMinimumOptionsT())
    model.operator(_CODE.MINIMUM, [source, high], middle, options=options)
    if op.low == 0.0:
        model.operator(_CODE.RELU, [middle], output)
    else:
        low = _number(model, f"{op.name}/low", op.low)
        model.operator(_CODE.MAXIMUM, [middle, low], output, options=options)


def add_quantize(model: ModelBuilder, source: int, target: int, *, wide: bool = False) -> None:
    """Add QUANTIZE: to the grid of ``target``, from floats or from another grid.

    Args:
        model: file.
        source: tensor number.
        target: tensor number.
        wide: whether ``target`` is int16.
    """
    options = (_OPTIONS.QuantizeOptions, schema.QuantizeOptionsT())
    model.operator(_CODE.QUANTIZE, [source], target, version=1 + wide, options=options)


def add_dequantize(model: ModelBuilder, source: int, target: int, *, version: int = 2) -> None:
    """Add DEQUANTIZE to float32; from int8 with one scale unless ``version`` says otherwise."""
    options = (_OPTIONS.DequantizeOptions, schema.DequantizeOptionsT())
    model.operator(_CODE.DEQUANTIZE, [source], target, version=version, options=options)


def _add_convolution(
    model: ModelBuilder,
    op: Conv2D | DepthwiseConv2D,
    inputs: list[int],
    output: int,
    *,
    kind: Kind,
) -> None:
    depthwise = isinstance(op, DepthwiseConv2D)
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding = _PADDINGS[op.padding]
    options.strideH, options.strideW = op.stride
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = _ACTIVATIONS[op.activation]
    if depthwise:
        options.depthMultiplier = 1
    tag = _OPTIONS.DepthwiseConv2DOptions if depthwise else _OPTIONS.Conv2DOptions
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    code, version = getattr(_CODE, name), _VERSIONS[name][kind]
    model.operator(code, inputs, output, version=version, options=(tag, options))


def _number(model: ModelBuilder, name: str, value: float) -> int:
    return model.tensor(name, (), np.float32, data=np.asarray(value, np.float32))
