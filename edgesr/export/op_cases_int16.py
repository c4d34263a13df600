"""Files of one operation with int16 activations (``wi8_ai16``); see ``op_cases``."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesr.export.flatbuffer import ModelBuilder
from edgesr.export.op_cases import ACTIVATIONS, Codes, OneOp, Random, choice, weight_of
from edgesr.export.sheet import Sheet
from edgesr.export.tflite import int_constants
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import (
    Add,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    Op,
    Pad,
    Padding,
    Relu,
    Relu6,
    WeightedOp,
)
from edgesr.quant.int16x8 import WIDE_BITS, narrowed, step_int16
from edgesr.quant.scheme import QParams, QuantizedGraph, QuantizedWeight

_CODE = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions
_PADDINGS: tuple[Padding, ...] = ("same", "valid")
_LIMIT = 1 << (WIDE_BITS - 1)
_BIAS = 10**6


def grid16(random: Random, low: float = 1e-5, high: float = 1e-2) -> QParams:
    """Return an int16 grid with a log-uniform scale."""
    scale = np.float32(np.exp(random.uniform(np.log(low), np.log(high))))
    return QParams(scale=scale, zero_point=0, bits=WIDE_BITS)


def codes16(random: Random, *shape: int) -> NDArray[np.int16]:
    """Return random int16 of all values."""
    return random.integers(-_LIMIT, _LIMIT, shape, np.int16)


def conv_2d(random: Random) -> OneOp:
    """CONV_2D with int64 bias."""
    side = choice(random, (1, 3))
    inside, outside = (int(n) for n in random.integers(1, 24, 2))
    shape = (outside, side, side, inside)
    return _weighted(random, Conv2D, shape, outside, terms=side * side * inside)


def depthwise_conv_2d(random: Random) -> OneOp:
    """DEPTHWISE_CONV_2D with int64 bias."""
    side = choice(random, (1, 3, 5))
    channels = int(random.integers(1, 40))
    return _weighted(
        random, DepthwiseConv2D, (1, side, side, channels), channels, terms=side * side
    )


def add(random: Random) -> OneOp:
    """ADD with general scales and sizes that are no whole vectors; as ``op_cases.add``."""
    a, b = grid16(random), grid16(random)
    target = _near(random, float(max(a.scale, b.scale)) * 1.2)
    if random.random() < 1 / 3:
        step = float(np.exp2(random.integers(-12, -4)))
        a, b, target = (
            QParams(scale=np.float32(step * int(n)), zero_point=0, bits=WIDE_BITS)
            for n in random.integers(1, 9, 3)
        )
    shape = (1, *(int(side) for side in random.integers(20, 40, 2)), int(random.integers(1, 24)))
    op = Add(name="layer", inputs=("a", "b"), output="y", activation=choice(random, ACTIVATIONS))
    values = {"a": codes16(random, *shape), "b": codes16(random, *shape)}
    return _graph(op, {"a": a, "b": b, "y": target}, {}, values)


def concatenation(random: Random) -> OneOp:
    """CONCATENATION along the channels, all on one grid."""
    one = grid16(random)
    names = tuple("abcd"[: int(random.integers(2, 5))])
    values = {name: codes16(random, 1, 24, 20, int(random.integers(1, 20))) for name in names}
    op = Concatenation(name="layer", inputs=names, output="y")
    return _graph(op, dict.fromkeys((*names, "y"), one), {}, values)


def pad(random: Random) -> OneOp:
    """PAD with zeros."""
    top, left, bottom, right = (int(n) for n in random.integers(0, 4, 4))
    op = Pad(name="layer", inputs=("x",), output="y", before=(top, left), after=(bottom, right + 1))
    return _moved(random, op)


def relu(random: Random) -> OneOp:
    """RELU that keeps the grid."""
    return _moved(random, Relu(name="layer", inputs=("x",), output="y"))


def relu6(random: Random) -> OneOp:
    """RELU6 that keeps the grid."""
    return _moved(random, Relu6(name="layer", inputs=("x",), output="y"))


def quantize_narrow(random: Random) -> OneOp:
    """QUANTIZE from int16 to int8."""
    source = grid16(random, 1e-3, 1e-1)
    if random.random() < 1 / 2:
        source = replace(source, scale=np.float32(np.exp2(random.integers(-12, -4))))
    zero = int(random.integers(-128, 128))
    target = QParams(scale=np.float32(float(source.scale) * 2**7), zero_point=zero)
    if random.random() < 1 / 2:
        target = replace(target, scale=np.float32(float(target.scale) * random.uniform(0.5, 4)))
    values = codes16(random, 1, 32, 32, 24)
    return _quantize(values, source, target, np.int8, version=1)


def quantize_wide(random: Random) -> OneOp:
    """QUANTIZE from int8 to int16."""
    scale = np.float32(np.exp(random.uniform(np.log(1e-2), np.log(2))))
    source = QParams(scale=scale, zero_point=int(random.integers(-128, 128)))
    ratio = 2.0 ** -int(random.integers(0, 9))
    if random.random() < 1 / 2:
        ratio *= random.uniform(1, 2)
    target = QParams(scale=np.float32(float(scale) * ratio), zero_point=0, bits=WIDE_BITS)
    values = random.integers(-128, 128, (1, 32, 32, 24), np.int8)
    return _quantize(values, source, target, np.int16, version=2)


def _quantize(
    values: Codes, source: QParams, target: QParams, dtype: type[np.signedinteger], *, version: int
) -> OneOp:
    model = ModelBuilder(name="op", description="one operation")
    pairs = [(float(one.scale), one.zero_point) for one in (source, target)]
    number = model.tensor("x", values.shape, values.dtype, grid=pairs[0])
    output = model.tensor("y", values.shape, dtype, grid=pairs[1])
    options = (_OPTIONS.QuantizeOptions, schema.QuantizeOptionsT())
    model.operator(_CODE.QUANTIZE, [number], output, version=version, options=options)
    content = model.finish({"x": number}, {"y": output}, {})

    def run(_: str) -> NDArray[Any]:
        return narrowed(torch.from_numpy(values.astype(np.int64)), source, target).numpy()

    return OneOp(content=content, inputs=(values,), simulate=run)


def _weighted(
    random: Random,
    kind: type[Conv2D] | type[DepthwiseConv2D],
    shape: tuple[int, ...],
    channels: int,
    *,
    terms: int,
) -> OneOp:
    weight = weight_of(random, shape, channels)
    bias = random.integers(-_BIAS, _BIAS + 1, channels).astype(np.int32)
    weight = replace(weight, bias=bias)
    stride = int(random.integers(1, 3))
    op: WeightedOp = kind(
        name="layer",
        inputs=("x",),
        output="y",
        weight=np.zeros(shape, np.float32),
        bias=np.zeros(channels, np.float32),
        stride=(stride, stride),
        padding=choice(random, _PADDINGS),
        activation=choice(random, ACTIVATIONS),
    )
    source = grid16(random)
    spread = float(source.scale) * float(weight.scales.mean()) * 74.0 * np.sqrt(terms)
    height, width = (int(side) for side in random.integers(9, 32, 2))
    values = {"x": codes16(random, 1, height, width, shape[3])}
    return _graph(op, {"x": source, "y": _near(random, spread)}, {"layer": weight}, values)


def _moved(random: Random, op: Op) -> OneOp:
    one = grid16(random, 1e-4, 1e-3)
    values = {"x": codes16(random, 1, 24, 31, int(random.integers(1, 24)))}
    return _graph(op, {"x": one, "y": one}, {}, values)


def _near(random: Random, scale: float) -> QParams:
    factor = np.exp(random.uniform(-np.log(4), np.log(4)))
    return QParams(scale=np.float32(scale * factor), zero_point=0, bits=WIDE_BITS)


def _graph(
    op: Op,
    grids: Mapping[str, QParams],
    weights: Mapping[str, QuantizedWeight],
    inputs: Mapping[str, NDArray[np.int16]],
) -> OneOp:
    specs = tuple(TensorSpec(name=name, channels=one.shape[3]) for name, one in inputs.items())
    graph = Graph(name="op", inputs=specs, outputs=(op.output,), ops=(op,))
    quantized = QuantizedGraph(graph=graph, qparams=dict(grids), weights=dict(weights))
    height, width = next(iter(inputs.values())).shape[1:3]
    constants = int_constants(quantized, bias=np.int64, kind="int16")
    sheet = Sheet(graph=graph, grids=grids, constants=constants, shape=(height, width))
    for spec in specs:
        sheet.activation(spec.name)
    sheet.body()
    content = sheet.finish(sheet.inputs(), sheet.outputs(), None)

    def run(kernels: str) -> NDArray[Any]:
        values = {
            name: torch.from_numpy(one.astype(np.float32)).permute(0, 3, 1, 2)
            for name, one in inputs.items()
        }
        found = step_int16(op, values, quantized, kernels=kernels)
        return found.permute(0, 2, 3, 1).numpy()

    return OneOp(content=content, inputs=tuple(inputs.values()), simulate=run)


INT16_CASES: Mapping[str, Callable[[Random], OneOp]] = MappingProxyType(
    {
        "CONV_2D int16x8": conv_2d,
        "DEPTHWISE_CONV_2D int16x8": depthwise_conv_2d,
        "ADD int16": add,
        "CONCATENATION int16": concatenation,
        "PAD int16": pad,
        "RELU int16": relu,
        "RELU6 int16": relu6,
        "QUANTIZE int16 to int8": quantize_narrow,
        "QUANTIZE int8 to int16": quantize_wide,
    }
)
"""Operations of ``wi8_ai16`` files."""
