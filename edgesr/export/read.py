"""Read an integer .tflite file back into its graph: the writers undone.

Files of other writers are read too where they hold nothing but operations that are simulated.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgesr.errors import CheckpointError, GraphError
from edgesr.export.read_int16 import begins_wide, check_wide, peel_wide
from edgesr.export.read_ops import OpFacts, read_op
from edgesr.export.sheet import PLACEHOLDER_SIZE
from edgesr.export.tflite import Io
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Op
from edgesr.graph.shapes import infer_shapes
from edgesr.quant.scheme import (
    CODE_MIN,
    WI8_AI8,
    WI8_AI16,
    QParams,
    QuantizedGraph,
    QuantizedWeight,
)

_DAMAGED = (
    struct.error,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
_OPERATORS: Mapping[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()
}
_TYPES: Mapping[int, str] = {
    code: name for name, code in vars(schema.TensorType).items() if name.isupper()
}
_DTYPES: Mapping[str, npt.DTypeLike] = {"INT8": np.int8, "INT32": np.int32, "INT64": np.int64}
_BITS: Mapping[str, int] = {"INT8": 8, "INT16": 16}
_IO: Mapping[str, Io] = {"INT8": "int8", "UINT8": "uint8", "FLOAT32": "float32"}
_RANK = 4
_Read = TypeVar("_Read")
_FREE = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadModel:
    """What an integer file holds.

    Attributes:
        quantized: the network between the file's ends.
        io: dtype of input and output.
        shape: height and width of the only input size, or None for every size.
        metadata: text entries by key.
    """

    quantized: QuantizedGraph
    io: Io
    shape: tuple[int, int] | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadSignatures:
    """What an int8 file of several signatures, or of several inputs, holds.

    Attributes:
        signatures: network by name of the signature, in the file's order.
        shape: height and width of the smallest input where it has only one size, else None.
        metadata: text entries by key.
    """

    signatures: Mapping[str, QuantizedGraph]
    shape: tuple[int, int] | None
    metadata: Mapping[str, str]


def read_model(model: Path | bytes) -> ReadModel:
    """Read a file of one input and one output.

    Raises:
        CheckpointError: the file is missing, truncated, no .tflite, or holds something that has no
            integer simulation.
    """
    return _read(model, lambda reader: reader.read())


def read_signatures(model: Path | bytes) -> ReadSignatures:
    """Read an int8 file of any number of signatures, each with int8 inputs and one int8 output.

    Raises:
        CheckpointError: as for ``read_model``, or the file names no signature.
    """

    def read(first: "_Reader") -> ReadSignatures:
        found: dict[str, QuantizedGraph] = {}
        for entry in first.model.signatureDefs or ():
            part = _Reader(
                file=first.file, model=first.model, size=first.size, index=entry.subgraphIndex
            )
            found[_text(entry.signatureKey)] = part.read_signature()
        if not found:
            raise first.refused("has no signatures")
        return ReadSignatures(
            signatures=found, shape=first.smallest_shape(), metadata=first.metadata()
        )

    return _read(model, read)


def _read(model: Path | bytes, read: "Callable[[_Reader], _Read]") -> "_Read":
    name = "<bytes>" if isinstance(model, bytes) else str(model)
    try:
        content = model if isinstance(model, bytes) else model.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{name}: cannot be read ({error.strerror}); check the path"
        ) from error
    if len(content) < 2 * len(b"TFL3") or content[4:8] != b"TFL3":
        raise CheckpointError(f"{name}: no TFL3 mark, want a .tflite file")
    try:
        packed = schema.ModelT.InitFromPackedBuf(content)
        return read(_Reader(file=name, model=packed, size=len(content)))
    except GraphError as error:
        raise CheckpointError(f"{name}: {error}") from error
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(
            f"{name}: {len(content)} bytes are damaged or truncated ({reason}); copy it again"
        ) from error


@dataclass(kw_only=True)
class _Reader:
    """One file while it is read."""

    file: str
    model: Any
    size: int
    index: int = 0
    names: dict[int, str] = field(default_factory=dict)
    grids: dict[str, QParams] = field(default_factory=dict)
    weights: dict[str, QuantizedWeight] = field(default_factory=dict)
    narrowed: dict[int, int] = field(default_factory=dict)

    def read(self) -> ReadModel:
        if len(self.model.subgraphs or ()) != 1:
            raise self.refused(f"{len(self.model.subgraphs or ())} subgraphs, want 1")
        graph = self._graph()
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise self.refused("has not one input and one output")
        first, last = int(graph.inputs[0]), int(graph.outputs[0])
        operators = list(graph.operators)
        io = _IO.get(self.dtype(first))
        if io is None or self.dtype(last) != self.dtype(first):
            raise self.refused(
                f"input is {self.dtype(first)} and output {self.dtype(last)}, "
                "want both INT8, UINT8 or FLOAT32"
            )
        inner = first, last
        scheme = WI8_AI8
        if begins_wide(self, operators):
            scheme = WI8_AI16
            inner, operators, self.narrowed = peel_wide(self, operators, (first, last), io)
        elif io != "int8":
            inner, operators = self._peeled(operators, first, last, io)
        labels = dict(zip(inner, (first, last), strict=True))
        self._name_tensors(labels)
        source = self.activation(inner[0])
        ops = tuple(self._op(number, one) for number, one in enumerate(operators))
        if scheme == WI8_AI16:
            check_wide(self, source, self.names[inner[1]])
        shape = self._shape(first)
        channels = int(self.tensor(first).shape[3])
        read = Graph(
            name=_text(graph.name),
            inputs=(TensorSpec(name=source, channels=channels),),
            outputs=(self.names[inner[1]],),
            ops=ops,
        )
        infer_shapes(read, *(shape or PLACEHOLDER_SIZE))
        quantized = QuantizedGraph(
            graph=read, qparams=self.grids, weights=self.weights, scheme=scheme
        )
        return ReadModel(quantized=quantized, io=io, shape=shape, metadata=self.metadata())

    def read_signature(self) -> QuantizedGraph:
        """Read one subgraph whose inputs and output are int8."""
        graph = self._graph()
        if not len(graph.inputs) or len(graph.outputs) != 1:
            raise self.refused("a signature has not inputs and one output")
        self._name_tensors({})
        numbers = [int(number) for number in graph.inputs]
        sides = {number: int(self.tensor(number).shape[1]) for number in numbers}
        specs = [
            TensorSpec(
                name=self.activation(number),
                channels=int(self.tensor(number).shape[3]),
                enlarged=sides[number] // min(sides.values()),
            )
            for number in numbers
        ]
        ops = tuple(self._op(number, one) for number, one in enumerate(graph.operators))
        read = Graph(
            name=_text(graph.name),
            inputs=tuple(specs),
            outputs=(self.activation(int(graph.outputs[0])),),
            ops=ops,
        )
        infer_shapes(read, *(self.smallest_shape() or PLACEHOLDER_SIZE))
        return QuantizedGraph(graph=read, qparams=self.grids, weights=self.weights, scheme=WI8_AI8)

    def smallest_shape(self) -> tuple[int, int] | None:
        """Return height and width of the smallest input where it has only one size."""
        numbers = [int(number) for number in self._graph().inputs]
        shapes = [self._shape(number) for number in numbers]
        known = [shape for shape in shapes if shape is not None]
        return min(known) if len(known) == len(shapes) else None

    def tensor(self, number: int) -> Any:
        """Return the tensor ``number``; negative numbers are missing optional inputs."""
        if number < 0:
            raise self.refused("an operator lacks an input that is needed, such as a bias")
        return self.model.subgraphs[self.index].tensors[number]

    def activation(self, number: int) -> str:
        """Return the name of a tensor that is computed, after taking its grid."""
        name = self.names[number]
        bits = _BITS.get(self.dtype(number))
        if bits is None:
            raise self.refused(
                f"tensor {name!r} is {self.dtype(number)}, want INT8 or INT16; this is no "
                "full-integer file"
            )
        if name not in self.grids:
            scales, zeros = self.grid(number)
            if len(scales) != 1:
                raise self.refused(f"tensor {name!r} has {len(scales)} scales, want 1")
            try:
                self.grids[name] = QParams(scale=scales[0], zero_point=int(zeros[0]), bits=bits)
            except GraphError as error:
                raise self.refused(f"tensor {name!r}: {error}") from error
        return name

    def grid(self, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return scales and zero points of a tensor."""
        quantization = self.tensor(number).quantization
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            raise self.refused(f"tensor {self.label(number)!r} has no scale")
        scales = np.asarray(quantization.scale, np.float32)
        zeros = quantization.zeroPoint
        points = np.zeros(len(scales), np.int64) if zeros is None else np.asarray(zeros, np.int64)
        if len(points) != len(scales):
            raise self.refused(f"tensor {self.label(number)!r} lacks zero points")
        return scales, points

    def constant(self, number: int, dtype: str) -> npt.NDArray[Any]:
        """Return the content of a constant.

        Raises:
            CheckpointError: it has another dtype, no content or too little.
        """
        tensor = self.tensor(number)
        if self.dtype(number) != dtype:
            raise self.refused(f"{self.label(number)!r} is {self.dtype(number)}, want {dtype}")
        data = self.model.buffers[tensor.buffer].data
        shape = tuple(int(size) for size in tensor.shape)
        if data is None or not len(data):
            raise self.refused(f"{self.label(number)!r} is no constant")
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _DTYPES[dtype])
        return values.reshape(shape).copy()

    def label(self, number: int) -> str:
        """Return a tensor's name as the file has it."""
        return _text(self.tensor(number).name)

    def refused(self, reason: str) -> CheckpointError:
        """Return the error that says why the file is not read."""
        return CheckpointError(
            f"{self.file}: {reason}; want an int8 or int16x8 file as edgesr writes it"
        )

    def _graph(self) -> Any:
        graph = self.model.subgraphs[self.index]
        for tensor in graph.tensors:
            if tensor.shape is not None and np.asarray(tensor.shape).size > _RANK:
                raise self.refused(f"tensor {_text(tensor.name)!r} has more than {_RANK} axes")
        return graph

    def dtype(self, number: int) -> str:
        """Return a tensor's type, such as ``INT8``."""
        return _TYPES.get(self.tensor(number).type, "of unknown type")

    def _peeled(
        self, operators: list[Any], first: int, last: int, io: Io
    ) -> tuple[tuple[int, int], list[Any]]:
        """Return the int8 tensors behind the ends of the file and the operators between them."""
        if not operators:
            raise self.refused("has no operators")
        ending = "QUANTIZE" if io == "uint8" else "DEQUANTIZE"
        codes = [self.code(one) for one in (operators[0], operators[-1])]
        begin, end = operators[0], operators[-1]
        if codes != ["QUANTIZE", ending] or begin.inputs[0] != first or end.outputs[0] != last:
            raise self.refused(
                f"{io} input and output without QUANTIZE and {ending} at the ends"
                + (", so it computes in floats, without a simulation" if io == "float32" else "")
            )
        inner = int(begin.outputs[0]), int(end.inputs[0])
        if io == "uint8":
            for outside, inside in zip((first, last), inner, strict=True):
                (scale, zero), (other, point) = self.grid(outside), self.grid(inside)
                if scale[0] != other[0] or zero[0] + CODE_MIN != point[0]:
                    raise self.refused("the QUANTIZE at an end changes the grid")
        return inner, operators[1:-1]

    def _name_tensors(self, labels: Mapping[int, int]) -> None:
        used: set[str] = set()
        for number in range(len(self.model.subgraphs[self.index].tensors)):
            name = self.label(labels.get(number, number))
            while name in used:
                name += f"#{number}"
            outside = number in labels.values() and number not in labels
            used |= set() if outside else {name}
            self.names[number] = name

    def _op(self, number: int, operator: Any) -> Op:
        code = self.code(operator)
        facts = OpFacts(
            code=code,
            where=f"operator {number} ({code})",
            inputs=[self.narrowed.get(int(one), int(one)) for one in operator.inputs],
            output=int(operator.outputs[0]),
            options=operator.builtinOptions,
        )
        op, weight = read_op(self, facts)
        if weight is not None:
            self.weights[op.name] = weight
        return op

    def code(self, operator: Any) -> str:
        """Return an operator's name."""
        entry = self.model.operatorCodes[operator.opcodeIndex]
        return _OPERATORS.get(max(entry.builtinCode, entry.deprecatedBuiltinCode), "CUSTOM")

    def _shape(self, number: int) -> tuple[int, int] | None:
        tensor = self.tensor(number)
        if len(tensor.shape) != _RANK:
            raise self.refused(f"the input has {len(tensor.shape)} axes, want (1, h, w, c)")
        signature = tensor.shapeSignature
        if signature is not None and len(signature) == _RANK and signature[1] == _FREE:
            return None
        return int(tensor.shape[1]), int(tensor.shape[2])

    def metadata(self) -> dict[str, str]:
        """Return the file's text entries."""
        entries: dict[str, str] = {}
        for entry in self.model.metadata or ():
            name = _text(entry.name)
            if name.startswith("edgesr"):
                data = np.asarray(self.model.buffers[entry.buffer].data, np.uint8)
                entries[name] = data.tobytes().decode()
        return entries


def _text(name: bytes | str | None) -> str:
    if isinstance(name, bytes):
        return name.decode()
    return name or ""
