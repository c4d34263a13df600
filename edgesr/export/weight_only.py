"""Store weights in fewer bytes and compute in float32: float16, int8 or packed int4.

A stored weight is a constant behind a DEQUANTIZE to float32, the form in which TFLite's converter
writes float16: runtimes unpack it once, when they load the file. With int8 the weight can also go
straight into the convolution; the runtime then quantizes each activation as it comes (``dynamic``),
with ranges that depend on the image.

Biases stay float32: they are 1 % of the bytes, and their rounding would shift every pixel.
"""

from collections.abc import Mapping

import numpy as np

from edgesr.errors import GraphError
from edgesr.export.flatbuffer import INT4, ModelBuilder, pack_int4
from edgesr.export.lowering import Kind, add_dequantize
from edgesr.export.sheet import Constants
from edgesr.export.tflite import float32_bias, float32_constants
from edgesr.graph.ops import WeightedOp, is_selection
from edgesr.quant.scheme import BITS
from edgesr.quant.weight_fit import FittedWeight
from edgesr.quant.weights import channel_axis

_FLOAT16_VERSION = 3
_PER_CHANNEL_VERSIONS = {BITS: 5, 4: 6}
"""Lowest version of DEQUANTIZE by width of what it reads, with one scale per channel."""


def float16_constants(model: ModelBuilder, op: WeightedOp) -> tuple[list[int], Kind]:
    """Add the weight of a layer as float16 behind a DEQUANTIZE.

    Raises:
        GraphError: a weight is beyond the range of float16.
    """
    largest = float(np.abs(op.weight).max())
    limit = float(np.finfo(np.float16).max)
    if largest > limit:
        raise GraphError(
            f"layer {op.name}: weight {largest:g} is beyond float16's {limit:g}; export float32"
        )
    values = op.weight.astype(np.float16)
    stored = model.tensor(f"{op.name}/weight", values.shape, np.float16, data=values)
    weight = _unpacked(model, op, stored, version=_FLOAT16_VERSION)
    return [weight, float32_bias(model, op.name, op.bias)], "float32"


def dequantized_constants(fitted: Mapping[str, FittedWeight]) -> Constants:
    """Return what adds integer weights, int8 or packed int4, behind a DEQUANTIZE."""

    def add(model: ModelBuilder, op: WeightedOp) -> tuple[list[int], Kind]:
        one = fitted[op.name]
        stored = _stored(model, op, one)
        weight = _unpacked(model, op, stored, version=_PER_CHANNEL_VERSIONS[one.bits])
        return [weight, float32_bias(model, op.name, one.bias)], "float32"

    return add


def dynamic_constants(fitted: Mapping[str, FittedWeight]) -> Constants:
    """Return what adds int8 weights straight into the convolution.

    Channel copies stay float32: they would round the image itself to a grid of its own range.
    """

    def add(model: ModelBuilder, op: WeightedOp) -> tuple[list[int], Kind]:
        if is_selection(op):
            return float32_constants(model, op)
        one = fitted[op.name]
        return [_stored(model, op, one), float32_bias(model, op.name, one.bias)], "dynamic"

    return add


def _stored(model: ModelBuilder, op: WeightedOp, one: FittedWeight) -> int:
    name, shape = f"{op.name}/weight", one.values.shape
    grid, axis = (one.scales, 0), channel_axis(op)
    if one.bits == BITS:
        return model.tensor(name, shape, np.int8, data=one.values, grid=grid, axis=axis)
    return model.tensor(name, shape, INT4, data=pack_int4(one.values), grid=grid, axis=axis)


def _unpacked(model: ModelBuilder, op: WeightedOp, stored: int, *, version: int) -> int:
    weight = model.tensor(f"{op.name}/weight/float32", op.weight.shape, np.float32)
    add_dequantize(model, stored, weight, version=version)
    return weight
