"""Files of one operation with random shapes, grids and codes, and what each must give.

The operations that a graph has are written and simulated as whole graphs; the rest by their own
functions. ``CASES`` lists all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.export.tflite import write_int8
from edgesr.graph.graph import Graph, TensorSpec
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
    WeightedOp,
)
from edgesr.quant.scheme import QParams, QuantizedGraph, QuantizedWeight
from edgesr.quant.simulate import simulate

Random = np.random.Generator
Codes = NDArray[Any]
Simulation = Callable[[str], NDArray[Any]]

ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6")
_PADDINGS: tuple[Padding, ...] = ("same", "valid")


@dataclass(frozen=True, kw_only=True, eq=False)
class OneOp:
    """A file of one operation.

    Attributes:
        content: the file.
        inputs: what to feed.
        simulate: output codes by kernel family.
    """

    content: bytes
    inputs: tuple[Codes, ...]
    simulate: Simulation


def grid(random: Random, low: float = 1e-3, high: float = 0.2) -> QParams:
    """Return a grid with a log-uniform scale and any zero point."""
    scale = np.float32(np.exp(random.uniform(np.log(low), np.log(high))))
    return QParams(scale=scale, zero_point=int(random.integers(-128, 128)))


def near(random: Random, scale: float) -> QParams:
    """Return a grid whose scale is within a factor of four of ``scale``."""
    factor = np.exp(random.uniform(-np.log(4), np.log(4)))
    return QParams(scale=np.float32(scale * factor), zero_point=int(random.integers(-128, 128)))


def codes(random: Random, *shape: int) -> NDArray[np.int8]:
    """Return random int8 of all values."""
    return random.integers(-128, 128, shape, np.int8)


def wide(values: Codes) -> torch.Tensor:
    """Return codes as an int64 tensor."""
    return torch.from_numpy(values.astype(np.int64))


def choice(random: Random, values: tuple[Any, ...]) -> Any:
    """Return one of ``values``."""
    return values[int(random.integers(len(values)))]


def weight_of(random: Random, shape: tuple[int, ...], channels: int) -> QuantizedWeight:
    """Return random integers with one scale per channel."""
    values = random.integers(-127, 128, shape, np.int8)
    scales = np.exp(random.uniform(np.log(5e-4), np.log(2e-2), channels)).astype(np.float32)
    bias = random.integers(-20000, 20001, channels).astype(np.int32)
    return QuantizedWeight(values=values, scales=scales, bias=bias)


def sum_scale(source: QParams, weight: QuantizedWeight, terms: int) -> float:
    """Return an output scale with which random sums spread over the codes."""
    spread = 74.0 * 73.0 * np.sqrt(terms)
    return float(source.scale) * float(weight.scales.mean()) * float(spread) / 60.0


def _graph(
    ops: tuple[Op, ...],
    grids: Mapping[str, QParams],
    weights: Mapping[str, QuantizedWeight],
    inputs: Mapping[str, NDArray[np.int8]],
) -> OneOp:
    specs = tuple(TensorSpec(name=name, channels=one.shape[3]) for name, one in inputs.items())
    graph = Graph(name="op", inputs=specs, outputs=(ops[-1].output,), ops=ops)
    quantized = QuantizedGraph(graph=graph, qparams=dict(grids), weights=dict(weights))
    arrays = tuple(inputs.values())
    height, width = arrays[0].shape[1:3]

    def run(kernels: str) -> NDArray[np.int8]:
        tensors = [torch.from_numpy(one) for one in arrays]
        result: NDArray[np.int8] = simulate(quantized, *tensors, kernels=kernels).numpy()
        return result

    content = write_int8(quantized, shape=(height, width))
    return OneOp(content=content, inputs=arrays, simulate=run)


def _window(random: Random) -> dict[str, Any]:
    stride = int(random.integers(1, 3))
    return {
        "stride": (stride, stride),
        "padding": choice(random, _PADDINGS),
        "activation": choice(random, ACTIVATIONS),
    }


def _weighted(random: Random, op: WeightedOp, weight: QuantizedWeight, terms: int) -> OneOp:
    channels = op.weight.shape[3]
    height, width = (int(side) for side in random.integers(9, 32, 2))
    source = grid(random)
    target = near(random, sum_scale(source, weight, terms))
    return _graph(
        (op,),
        {"x": source, "y": target},
        {"layer": weight},
        {"x": codes(random, 1, height, width, channels)},
    )


def conv_2d(random: Random) -> OneOp:
    """CONV_2D."""
    side = choice(random, (1, 3, 5))
    inside, outside = (int(n) for n in random.integers(1, 40, 2))
    shape = (outside, side, side, inside)
    weight = weight_of(random, shape, outside)
    op = Conv2D(
        name="layer",
        inputs=("x",),
        output="y",
        weight=np.zeros(shape, np.float32),
        bias=np.zeros(outside, np.float32),
        **_window(random),
    )
    return _weighted(random, op, weight, side * side * inside)


def depthwise_conv_2d(random: Random) -> OneOp:
    """DEPTHWISE_CONV_2D."""
    side = choice(random, (1, 3, 5))
    channels = int(random.integers(1, 40))
    shape = (1, side, side, channels)
    weight = weight_of(random, shape, channels)
    op = DepthwiseConv2D(
        name="layer",
        inputs=("x",),
        output="y",
        weight=np.zeros(shape, np.float32),
        bias=np.zeros(channels, np.float32),
        **_window(random),
    )
    return _weighted(random, op, weight, side * side)


def add(random: Random) -> OneOp:
    """ADD; every third case has scales that are small ratios, where ties are frequent."""
    a, b = grid(random), grid(random)
    target = near(random, float(max(a.scale, b.scale)) * 1.2)
    if random.random() < 1 / 3:
        step = float(np.exp2(random.integers(-8, 0)))
        a, b, target = (
            QParams(scale=np.float32(step * int(n)), zero_point=one.zero_point)
            for n, one in zip(random.integers(1, 9, 3), (a, b, target), strict=True)
        )
    shape = (1, 32, 32, int(random.integers(1, 24)))
    op = Add(name="layer", inputs=("a", "b"), output="y", activation=choice(random, ACTIVATIONS))
    values = {"a": codes(random, *shape), "b": codes(random, *shape)}
    return _graph((op,), {"a": a, "b": b, "y": target}, {}, values)


def concatenation(random: Random) -> OneOp:
    """CONCATENATION along the channels, all on one grid."""
    one = grid(random)
    height, width = (int(side) for side in random.integers(4, 40, 2))
    names = tuple("abcd"[: int(random.integers(2, 5))])
    values = {name: codes(random, 1, height, width, int(random.integers(1, 20))) for name in names}
    op = Concatenation(name="layer", inputs=names, output="y")
    return _graph((op,), dict.fromkeys((*names, "y"), one), {}, values)


def _moved(random: Random, op: Op, channels: int) -> OneOp:
    one = grid(random, 5e-3, 0.2)
    height, width = (int(side) for side in random.integers(4, 40, 2))
    values = {"x": codes(random, 1, height, width, channels)}
    return _graph((op,), {"x": one, "y": one}, {}, values)


def depth_to_space(random: Random) -> OneOp:
    """DEPTH_TO_SPACE, operator version 1."""
    block = int(random.integers(2, 5))
    op = DepthToSpace(name="layer", inputs=("x",), output="y", block=block)
    return _moved(random, op, block * block * int(random.integers(1, 5)))


def pad(random: Random) -> OneOp:
    """PAD with zeros."""
    top, left, bottom, right = (int(n) for n in random.integers(0, 4, 4))
    op = Pad(name="layer", inputs=("x",), output="y", before=(top, left), after=(bottom, right + 1))
    return _moved(random, op, int(random.integers(1, 24)))


def relu(random: Random) -> OneOp:
    """RELU that keeps the grid."""
    op = Relu(name="layer", inputs=("x",), output="y")
    return _moved(random, op, int(random.integers(1, 24)))


def relu6(random: Random) -> OneOp:
    """RELU6 that keeps the grid."""
    op = Relu6(name="layer", inputs=("x",), output="y")
    return _moved(random, op, int(random.integers(1, 24)))


GRAPH_CASES: Mapping[str, Callable[[Random], OneOp]] = MappingProxyType(
    {
        "CONV_2D": conv_2d,
        "DEPTHWISE_CONV_2D": depthwise_conv_2d,
        "ADD": add,
        "CONCATENATION": concatenation,
        "DEPTH_TO_SPACE": depth_to_space,
        "PAD": pad,
        "RELU": relu,
        "RELU6": relu6,
    }
)
