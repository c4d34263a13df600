"""The precisions that a network can be exported in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.export.int16 import write_int16x8
from edgesr.export.operators import (
    FLOAT_TYPES,
    INT16_TYPES,
    check_operators,
    float_operators,
    int16_operators,
    operator_problems,
)
from edgesr.export.sheet import Constants
from edgesr.export.tflite import Io, float32_constants, write_float_activations, write_int8
from edgesr.export.weight_only import (
    dequantized_constants,
    dynamic_constants,
    float16_constants,
)
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Op
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.image import upscale_simulated
from edgesr.quant.int16_ptq import Int16Result, quantize_graph_int16
from edgesr.quant.int16x8 import simulate_int16
from edgesr.quant.ptq import PtqResult, quantize_graph
from edgesr.quant.scheme import BITS, CODE_MIN, QuantizedGraph, Scheme
from edgesr.quant.weight_fit import FittedWeight, fit_weights
from edgesr.quant.widths import layer_bits

Batches = Sequence[CalibrationBatch]
Simulation = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Upscales one uint8 image ``(h, w, 3)`` as the file does, value for value."""

_INT4 = Scheme(weight_bits=4, activation_bits=BITS)
"""Widths of the weights: the first and the last layer keep 8 bits."""


class Network(Protocol):
    """A network at one precision, ready to be written."""

    @property
    def quantized(self) -> QuantizedGraph | None:
        """The integers of a file that computes with integers."""

    @property
    def ptq(self) -> PtqResult | Int16Result | None:
        """How they were found, where it was done here."""

    @property
    def fitted(self) -> Mapping[str, FittedWeight]:
        """Integer weights of a file that computes in float32."""

    @property
    def simulation(self) -> Simulation | None:
        """What the file must equal; None where it computes in floats."""

    def write(self, *, io: Io, shape: tuple[int, int] | None, metadata: Mapping[str, str]) -> bytes:
        """Return the content of a file."""

    def problems(self, content: bytes, io: Io) -> tuple[str, ...]:
        """Return what is wrong with the operators of a file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Int8Network:
    """A ``wi8_ai8`` network."""

    quantized: QuantizedGraph
    ptq: PtqResult | None = None
    fitted: Mapping[str, FittedWeight] = field(default_factory=dict)

    @property
    def simulation(self) -> Simulation:
        """XNNPACK's int8 arithmetic."""
        return lambda lr: upscale_simulated(self.quantized, lr)

    def write(self, *, io: Io, shape: tuple[int, int] | None, metadata: Mapping[str, str]) -> bytes:
        """Return the content of a file."""
        return write_int8(self.quantized, io=io, shape=shape, metadata=metadata)

    def problems(self, content: bytes, io: Io) -> tuple[str, ...]:
        """Return what is wrong with the operators of a file."""
        return check_operators(content, self.quantized.graph, io)


@dataclass(frozen=True, kw_only=True, eq=False)
class Int16Network:
    """A ``wi8_ai16`` network."""

    quantized: QuantizedGraph
    ptq: Int16Result
    fitted: Mapping[str, FittedWeight] = field(default_factory=dict)

    @property
    def simulation(self) -> Simulation:
        """The int16 arithmetic of the built-in kernels."""
        return lambda lr: _upscale_int16(self.quantized, lr)

    def write(self, *, io: Io, shape: tuple[int, int] | None, metadata: Mapping[str, str]) -> bytes:
        """Return the content of a file."""
        return write_int16x8(self.quantized, io=io, shape=shape, metadata=metadata)

    def problems(self, content: bytes, io: Io) -> tuple[str, ...]:
        """Return what is wrong with the operators of a file."""
        wanted = int16_operators(self.quantized.graph, io)
        return operator_problems(content, wanted, types=INT16_TYPES, kind="int16x8")


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """A network that computes in float32.

    Attributes:
        graph: lowered network.
        constants: how its weights are stored.
        types: types of the stored weights.
        unpacked: tells whether the weight of a layer stands behind a DEQUANTIZE.
        fitted: integer weights by layer.
    """

    graph: Graph
    constants: Constants
    types: frozenset[str] = frozenset()
    unpacked: Callable[[Op], bool] = lambda _: False
    fitted: Mapping[str, FittedWeight] = field(default_factory=dict)
    quantized: None = None
    ptq: None = None
    simulation: None = None

    def write(self, *, io: Io, shape: tuple[int, int] | None, metadata: Mapping[str, str]) -> bytes:
        """Return the content of a file."""
        if io != "float32":
            raise DataError(f"io is {io}, want float32; this precision computes in float32")
        return write_float_activations(self.graph, self.constants, shape=shape, metadata=metadata)

    def problems(self, content: bytes, io: Io) -> tuple[str, ...]:  # noqa: ARG002 - as the others
        """Return what is wrong with the operators of a file."""
        wanted = float_operators(self.graph, self.unpacked)
        return operator_problems(content, wanted, types=FLOAT_TYPES | self.types, kind="float")


@dataclass(frozen=True, kw_only=True)
class Precision:
    """One way to store a network.

    Attributes:
        scheme: name that decodes, such as ``wi8_af32``.
        ios: dtypes that input and output can have; the first is the default.
        calibrated: whether calibration images are needed.
        make: float graph and calibration images to what is written.
    """

    scheme: str
    ios: tuple[Io, ...]
    calibrated: bool
    make: Callable[[Graph, Batches], Network]


def _upscale_int16(quantized: QuantizedGraph, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Upscale one uint8 image ``(h, w, 3)``; its codes are 8 bits at both ends of the file."""
    codes = torch.from_numpy((lr.astype(np.int16) + CODE_MIN).astype(np.int8))
    result: NDArray[Any] = simulate_int16(quantized, codes[None])[0].numpy()
    return (result.astype(np.int16) - CODE_MIN).astype(np.uint8)


def _int8(graph: Graph, batches: Batches) -> Network:
    ptq = quantize_graph(graph, batches)
    return Int8Network(quantized=ptq.quantized, ptq=ptq)


def _int16x8(graph: Graph, batches: Batches) -> Network:
    ptq = quantize_graph_int16(graph, batches)
    return Int16Network(quantized=ptq.quantized, ptq=ptq)


def _float32(graph: Graph, _: Batches) -> Network:
    return FloatNetwork(graph=graph, constants=float32_constants)


def _float16(graph: Graph, _: Batches) -> Network:
    return FloatNetwork(
        graph=graph,
        constants=float16_constants,
        types=frozenset({"FLOAT16"}),
        unpacked=lambda _: True,
    )


def _weight_int8(graph: Graph, batches: Batches) -> Network:
    fitted = fit_weights(graph, batches)
    return FloatNetwork(
        graph=graph,
        constants=dequantized_constants(fitted),
        types=frozenset({"INT8"}),
        unpacked=lambda _: True,
        fitted=fitted,
    )


def _weight_int4(graph: Graph, batches: Batches) -> Network:
    fitted = fit_weights(graph, batches, bits=layer_bits(graph, _INT4))
    return FloatNetwork(
        graph=graph,
        constants=dequantized_constants(fitted),
        types=frozenset({"INT4", "INT8"}),
        unpacked=lambda _: True,
        fitted=fitted,
    )


def _dynamic_int8(graph: Graph, batches: Batches) -> Network:
    fitted = fit_weights(graph, batches)
    return FloatNetwork(
        graph=graph,
        constants=dynamic_constants(fitted),
        types=frozenset({"INT8"}),
        fitted=fitted,
    )


_INTEGER_IOS: tuple[Io, ...] = ("int8", "uint8", "float32")
_FLOAT_IOS: tuple[Io, ...] = ("float32",)

PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {
        "int8": Precision(scheme="wi8_ai8", ios=_INTEGER_IOS, calibrated=True, make=_int8),
        "int16x8": Precision(scheme="wi8_ai16", ios=_INTEGER_IOS, calibrated=True, make=_int16x8),
        "float32": Precision(scheme="wf32_af32", ios=_FLOAT_IOS, calibrated=False, make=_float32),
        "float16": Precision(scheme="wf16_af32", ios=_FLOAT_IOS, calibrated=False, make=_float16),
        "weight_int8": Precision(
            scheme="wi8_af32", ios=_FLOAT_IOS, calibrated=True, make=_weight_int8
        ),
        "weight_int4": Precision(
            scheme="wi4_af32", ios=_FLOAT_IOS, calibrated=True, make=_weight_int4
        ),
        "dynamic_int8": Precision(
            scheme="wi8_ad8", ios=_FLOAT_IOS, calibrated=True, make=_dynamic_int8
        ),
    }
)
"""What ``edgesr export --precision`` takes."""
