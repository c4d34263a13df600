"""Files of one operation, for operations that a graph has no form for; see ``op_cases``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from edgesr.export.flatbuffer import ModelBuilder
from edgesr.export.op_cases import (
    ACTIVATIONS,
    GRAPH_CASES,
    Codes,
    OneOp,
    Random,
    choice,
    codes,
    grid,
    near,
    sum_scale,
    weight_of,
    wide,
)
from edgesr.export.op_cases_int16 import INT16_CASES
from edgesr.quant import elementwise, layer_arithmetic
from edgesr.quant.affine import bias_scales
from edgesr.quant.elementwise import Function
from edgesr.quant.scheme import QParams, QuantizedWeight

_CODE = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions
_FUSED = {"none": 0, "relu": 1, "relu6": 3}
_PADDINGS = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
_PROBABILITIES = QParams(scale=np.float32(1 / 256), zero_point=-128)
_SIGNED_UNIT = QParams(scale=np.float32(1 / 128), zero_point=0)
_EVERY = np.arange(-128, 128).astype(np.int8)

Run = Callable[[str], Tensor]


class _File:
    """A file of one operation while it is written."""

    def __init__(self) -> None:
        self.model = ModelBuilder(name="op", description="one operation")
        self.arrays: list[Codes] = []
        self._inputs: dict[str, int] = {}

    def feed(self, values: Codes, one: QParams | None) -> int:
        """Add an input."""
        pair = None if one is None else (one.scale, one.zero_point)
        name = f"x{len(self.arrays)}"
        number = self.model.tensor(name, values.shape, values.dtype, grid=pair)
        self._inputs[name] = number
        self.arrays.append(values)
        return number

    def constant(self, values: npt.NDArray[Any], *, pair: Any = None) -> int:
        """Add a constant."""
        return self.model.tensor("constant", values.shape, values.dtype, data=values, grid=pair)

    def finish(  # noqa: PLR0913 - an operation has that many facts
        self,
        code: int,
        inputs: Sequence[int],
        shape: Sequence[int],
        target: QParams,
        *,
        version: int,
        options: tuple[int, Any] | None,
        run: Run,
    ) -> OneOp:
        """Add the operation and return the case."""
        pair = (target.scale, target.zero_point)
        output = self.model.tensor("y", shape, np.int8, grid=pair)
        self.model.operator(code, inputs, output, version=version, options=options)
        content = self.model.finish(self._inputs, {"y": output}, {})
        return OneOp(
            content=content,
            inputs=tuple(self.arrays),
            simulate=lambda kernels: run(kernels).numpy(),
        )


def _layer(file: _File, weight: QuantizedWeight, source: QParams) -> list[int]:
    steps = bias_scales(source.scale, weight.scales)
    return [
        file.constant(weight.values, pair=(weight.scales, 0)),
        file.constant(weight.bias, pair=(steps, 0)),
    ]


def _fused(options: Any, activation: str) -> Any:
    options.fusedActivationFunction = _FUSED[activation]
    return options


def transpose_conv(random: Random) -> OneOp:
    """TRANSPOSE_CONV."""
    stride = int(random.integers(1, 4))
    side = stride + int(random.integers(0, 3))
    padding = choice(random, ("same", "valid"))
    inside, outside = (int(n) for n in random.integers(1, 24, 2))
    height, width = (int(n) for n in random.integers(5, 16, 2))
    weight = weight_of(random, (outside, side, side, inside), outside)
    source = grid(random)
    target = near(random, sum_scale(source, weight, inside * max(1, (side // stride) ** 2)))
    extra = 0 if padding == "same" else side - stride
    shape = (1, height * stride + extra, width * stride + extra, outside)
    file = _File()
    sizes = file.constant(np.array(shape, np.int32))
    values = codes(random, 1, height, width, inside)
    number = file.feed(values, source)
    layer = _layer(file, weight, source)
    options = schema.TransposeConvOptionsT()
    options.padding = _PADDINGS[padding]
    options.strideH = options.strideW = stride
    return file.finish(
        _CODE.TRANSPOSE_CONV,
        [sizes, layer[0], number, layer[1]],
        shape,
        target,
        version=3,
        options=(_OPTIONS.TransposeConvOptions, options),
        run=lambda kernels: layer_arithmetic.transpose_conv(
            wide(values), weight, source, target, stride=stride, padding=padding, kernels=kernels
        ),
    )


def fully_connected(random: Random) -> OneOp:
    """FULLY_CONNECTED with one scale per output."""
    rows = int(random.integers(64, 257))
    inside, outside = (int(n) for n in random.integers(2, 96, 2))
    weight = weight_of(random, (outside, inside), outside)
    source = grid(random)
    target = near(random, sum_scale(source, weight, inside))
    activation = choice(random, ACTIVATIONS)
    file = _File()
    values = codes(random, rows, inside)
    number = file.feed(values, source)
    options = _fused(schema.FullyConnectedOptionsT(), activation)
    return file.finish(
        _CODE.FULLY_CONNECTED,
        [number, *_layer(file, weight, source)],
        (rows, outside),
        target,
        version=4,
        options=(_OPTIONS.FullyConnectedOptions, options),
        run=lambda kernels: layer_arithmetic.fully_connected(
            wide(values), weight, source, target, activation=activation, kernels=kernels
        ),
    )


def sub(random: Random) -> OneOp:
    """SUB."""
    a, b = grid(random), grid(random)
    target = near(random, float(max(a.scale, b.scale)) * 1.2)
    options = (_OPTIONS.SubOptions, schema.SubOptionsT())
    return _binary(random, _CODE.SUB, options, (a, b, target), elementwise.sub)


def mul(random: Random) -> OneOp:
    """MUL."""
    a, b = grid(random), grid(random)
    target = near(random, float(a.scale) * float(b.scale) * 90)
    options = (_OPTIONS.MulOptions, schema.MulOptionsT())
    return _binary(random, _CODE.MUL, options, (a, b, target), elementwise.mul)


def _binary(
    random: Random,
    code: int,
    options: tuple[int, Any],
    grids: tuple[QParams, QParams, QParams],
    simulate: Callable[..., Tensor],
) -> OneOp:
    shape = (1, 32, 32, int(random.integers(1, 24)))
    activation = choice(random, ACTIVATIONS)
    _fused(options[1], activation)
    file = _File()
    values = codes(random, *shape), codes(random, *shape)
    numbers = [file.feed(*pair) for pair in zip(values, grids, strict=False)]
    return file.finish(
        code,
        numbers,
        shape,
        grids[2],
        version=2,
        options=options,
        run=lambda kernels: simulate(
            wide(values[0]), wide(values[1]), *grids, activation=activation, kernels=kernels
        ),
    )


def _unary(  # noqa: PLR0913 - an operation has that many facts
    random: Random,
    code: int,
    source: QParams,
    target: QParams,
    simulate: Callable[[Tensor, str], Tensor],
    *,
    version: int = 1,
    options: tuple[int, Any] | None = None,
) -> OneOp:
    channels = int(random.integers(8, 72))
    extra = int(random.integers(0, 8))
    columns = [np.append(random.permutation(_EVERY), codes(random, extra)) for _ in range(channels)]
    values = np.stack(columns, -1)[None, None]
    file = _File()
    number = file.feed(values, source)
    return file.finish(
        code,
        [number],
        values.shape,
        target,
        version=version,
        options=options,
        run=lambda kernels: simulate(wide(values), kernels),
    )


def quantize(random: Random) -> OneOp:
    """QUANTIZE from int8 to another int8 grid."""
    source = grid(random)
    target = near(random, float(source.scale))
    return _unary(
        random,
        _CODE.QUANTIZE,
        source,
        target,
        lambda x, kernels: elementwise.requantize(x, source, target, kernels=kernels),
        version=2,
        options=(_OPTIONS.QuantizeOptions, schema.QuantizeOptionsT()),
    )


def quantize_uint8(random: Random) -> OneOp:
    """QUANTIZE from uint8 to the same int8 grid, 128 lower: the ends of a uint8 file."""
    target = grid(random)
    shape = (1, *(int(n) for n in random.integers(16, 40, 2)), 3)
    values = random.integers(0, 256, shape, np.uint8)
    file = _File()
    pair = (target.scale, target.zero_point + 128)
    number = file.model.tensor("x0", shape, np.uint8, grid=pair)
    file._inputs["x0"] = number  # noqa: SLF001 - QParams hold int8 grids only
    file.arrays.append(values)
    return file.finish(
        _CODE.QUANTIZE,
        [number],
        shape,
        target,
        version=1,
        options=(_OPTIONS.QuantizeOptions, schema.QuantizeOptionsT()),
        run=lambda _: layer_arithmetic.shift_unsigned(wide(values)),
    )


def quantize_float32(random: Random) -> OneOp:
    """QUANTIZE from float32; a third of the values are ties."""
    target = grid(random)
    shape = (1, *(int(n) for n in random.integers(16, 40, 2)), int(random.integers(1, 12)))
    steps = random.normal(0, 60, shape)
    ties = np.floor(steps) + 0.5
    steps = np.where(random.random(shape) < 1 / 3, ties, steps)
    values = (steps * float(target.scale)).astype(np.float32)
    import torch

    file = _File()
    return file.finish(
        _CODE.QUANTIZE,
        [file.feed(values, None)],
        shape,
        target,
        version=1,
        options=(_OPTIONS.QuantizeOptions, schema.QuantizeOptionsT()),
        run=lambda kernels: elementwise.quantize_floats(
            torch.from_numpy(values), target, kernels=kernels
        ),
    )


def leaky_relu(random: Random) -> OneOp:
    """LEAKY_RELU."""
    source = grid(random)
    target = near(random, float(source.scale))
    alpha = np.float32(random.uniform(0.05, 0.5))
    options = schema.LeakyReluOptionsT()
    options.alpha = float(alpha)
    return _unary(
        random,
        _CODE.LEAKY_RELU,
        source,
        target,
        lambda x, kernels: elementwise.leaky_relu(x, source, target, alpha=alpha, kernels=kernels),
        version=2,
        options=(_OPTIONS.LeakyReluOptions, options),
    )


def prelu(random: Random) -> OneOp:
    """PRELU with one slope per channel."""
    source, slope = grid(random), grid(random, 1e-3, 1e-2)
    target = near(random, float(source.scale))
    shape = (1, 24, 24, int(random.integers(1, 32)))
    values, slopes = codes(random, *shape), codes(random, 1, 1, shape[3])
    file = _File()
    number = file.feed(values, source)
    constant = file.constant(slopes, pair=(slope.scale, slope.zero_point))
    return file.finish(
        _CODE.PRELU,
        [number, constant],
        shape,
        target,
        version=1,
        options=None,
        run=lambda _: elementwise.prelu(wide(values), wide(slopes), source, slope, target),
    )


def _table(random: Random, code: int, function: Function, target: QParams | None) -> OneOp:
    source = grid(random, 4e-3, 0.15)
    goal = target or near(random, float(source.scale))
    options: tuple[int, Any] | None = None
    if code == _CODE.GELU:
        gelu = schema.GeluOptionsT()
        gelu.approximate = True
        options = (_OPTIONS.GeluOptions, gelu)
    return _unary(
        random,
        code,
        source,
        goal,
        lambda x, _: elementwise.look_up(x, function, source, goal),
        version=2 if code == _CODE.GELU else 1,
        options=options,
    )


def hard_swish(random: Random) -> OneOp:
    """HARD_SWISH."""
    source = grid(random, 1e-2, 0.15)
    target = near(random, float(source.scale))
    return _unary(
        random,
        _CODE.HARD_SWISH,
        source,
        target,
        lambda x, _: elementwise.hard_swish(x, source, target),
        options=(_OPTIONS.HardSwishOptions, schema.HardSwishOptionsT()),
    )


def average_pool(random: Random) -> OneOp:
    """AVERAGE_POOL_2D of whole windows."""
    size = int(random.integers(2, 5))
    one = grid(random, 5e-3, 0.2)
    height, width, channels = (int(n) for n in random.integers(8, 28, 3))
    activation = choice(random, ACTIVATIONS)
    values = codes(random, 1, height * size, width * size, channels)
    options = _fused(schema.Pool2DOptionsT(), activation)
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = options.filterHeight = options.filterWidth = size
    file = _File()
    return file.finish(
        _CODE.AVERAGE_POOL_2D,
        [file.feed(values, one)],
        (1, height, width, channels),
        one,
        version=2,
        options=(_OPTIONS.Pool2DOptions, options),
        run=lambda _: layer_arithmetic.average_pool(
            wide(values), size=size, grid=one, activation=activation
        ),
    )


def softmax(random: Random) -> OneOp:
    """SOFTMAX over the last axis."""
    source = grid(random, 1e-2, 0.2)
    shape = (1, int(random.integers(64, 513)), int(random.integers(2, 65)))
    values = codes(random, *shape)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    file = _File()
    return file.finish(
        _CODE.SOFTMAX,
        [file.feed(values, source)],
        shape,
        _PROBABILITIES,
        version=2,
        options=(_OPTIONS.SoftmaxOptions, options),
        run=lambda _: layer_arithmetic.softmax(wide(values), source, _PROBABILITIES),
    )


def space_to_depth(random: Random) -> OneOp:
    """SPACE_TO_DEPTH."""
    block = int(random.integers(2, 5))
    one = grid(random)
    height, width, channels = (int(n) for n in random.integers(2, 12, 3))
    values = codes(random, 1, height * block, width * block, channels)
    options = schema.SpaceToDepthOptionsT()
    options.blockSize = block
    file = _File()
    return file.finish(
        _CODE.SPACE_TO_DEPTH,
        [file.feed(values, one)],
        (1, height, width, channels * block * block),
        one,
        version=1,
        options=(_OPTIONS.SpaceToDepthOptions, options),
        run=lambda _: layer_arithmetic.space_to_depth(wide(values), block=block),
    )


def resize_nearest(random: Random) -> OneOp:
    """RESIZE_NEAREST_NEIGHBOR by a whole factor."""
    factor = int(random.integers(2, 5))
    one = grid(random)
    height, width, channels = (int(n) for n in random.integers(2, 24, 3))
    values = codes(random, 1, height, width, channels)
    file = _File()
    number = file.feed(values, one)
    sizes = file.constant(np.array([height * factor, width * factor], np.int32))
    options = (_OPTIONS.ResizeNearestNeighborOptions, schema.ResizeNearestNeighborOptionsT())
    return file.finish(
        _CODE.RESIZE_NEAREST_NEIGHBOR,
        [number, sizes],
        (1, height * factor, width * factor, channels),
        one,
        version=2,
        options=options,
        run=lambda _: layer_arithmetic.resize_nearest(wide(values), factor=factor),
    )


CASES: Mapping[str, Callable[[Random], OneOp]] = MappingProxyType(
    {
        **GRAPH_CASES,
        "TRANSPOSE_CONV": transpose_conv,
        "FULLY_CONNECTED": fully_connected,
        "SUB": sub,
        "MUL": mul,
        "SPACE_TO_DEPTH": space_to_depth,
        "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
        "LEAKY_RELU": leaky_relu,
        "PRELU": prelu,
        "LOGISTIC": partial(
            _table, code=_CODE.LOGISTIC, function=elementwise.logistic, target=_PROBABILITIES
        ),
        "TANH": partial(_table, code=_CODE.TANH, function=elementwise.tanh, target=_SIGNED_UNIT),
        "GELU": partial(_table, code=_CODE.GELU, function=elementwise.gelu, target=None),
        "HARD_SWISH": hard_swish,
        "AVERAGE_POOL_2D": average_pool,
        "SOFTMAX": softmax,
        "QUANTIZE int8": quantize,
        "QUANTIZE uint8": quantize_uint8,
        "QUANTIZE float32": quantize_float32,
        **INT16_CASES,
    }
)
"""Every operation that is simulated, by TFLite's name."""
