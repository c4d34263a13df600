"""Build a .tflite flatbuffer tensor by tensor and operator by operator.

LiteRT's own schema classes do the packing; this adds what they leave out: buffers aligned to 16
bytes and stored once, operator versions, and text metadata. Tables, vectors and names that are
equal are stored once as well, so that signatures which differ in little add little.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

_ALIGNMENT = 16
_FILE_MARK = b"TFL3"
_SCHEMA_VERSION = 3
_HIGHEST_OLD_CODE = 127
ONLY_SIGNATURE = "serving_default"
"""Name of the signature of a file that has one."""
_OLDEST_RUNTIME = b"1.14.0".ljust(_ALIGNMENT, b"\0")

_TYPES: Mapping[str, int] = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int4": schema.TensorType.INT4,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}
INT4 = "int4"
"""The type that numpy lacks: two numbers a byte, see ``pack_int4``."""


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data starts at a multiple of 16 bytes, as the schema demands."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        offset = None
        if self.data is not None:
            content = bytes(self.data)
            builder.StartVector(1, len(content), _ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            offset = builder.EndVector()
        schema.BufferStart(builder)
        if offset is not None:
            schema.BufferAddData(builder, offset)
        return int(schema.BufferEnd(builder))


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Stores equal strings and equal numpy vectors once."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._placed: dict[tuple[str, bytes], int] = {}

    def CreateString(self, s: str | bytes, *rest: str) -> int:  # noqa: N802
        key = ("text", s if isinstance(s, bytes) else s.encode())
        if key not in self._placed:
            self._placed[key] = super().CreateString(s, *rest)
        return self._placed[key]

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._placed:
            self._placed[key] = super().CreateNumpyVector(x)
        return self._placed[key]


class _PackedOnce:
    """A table that several subgraphs may hold; all then refer to one place of the file."""

    _place: tuple[flatbuffers.Builder, int] | None = None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        if self._place is None or self._place[0] is not builder:
            self._place = builder, super().Pack(builder)  # type: ignore[misc]
        return self._place[1]


class _Tensor(_PackedOnce, schema.TensorT):  # type: ignore[misc]
    pass


class _Operator(_PackedOnce, schema.OperatorT):  # type: ignore[misc]
    pass


class ModelBuilder:
    """Collects subgraphs, each with a signature, and packs them into a file.

    Args:
        name: name of the first subgraph.
        description: text that viewers show.
    """

    def __init__(self, *, name: str, description: str) -> None:
        self._model = schema.ModelT()
        self._model.version = _SCHEMA_VERSION
        self._model.description = description.encode()
        self._model.operatorCodes = []
        self._model.signatureDefs = []
        self._model.metadata = []
        self._model.buffers = [_AlignedBuffer()]  # buffer 0 is the empty one
        self._model.subgraphs = []
        self._codes: dict[tuple[int, int], int] = {}
        self._stored: dict[bytes, int] = {}
        self._tables: dict[Hashable, Any] = {}
        self.subgraph(name)

    def subgraph(self, name: str) -> None:
        """Begin another subgraph: what follows goes into it, numbered from 0 again."""
        self._graph = schema.SubGraphT()
        self._graph.name = name.encode()
        self._graph.tensors, self._graph.operators = [], []
        self._graph.inputs, self._graph.outputs = _numbers(()), _numbers(())
        self._model.subgraphs.append(self._graph)

    def tensor(  # noqa: PLR0913 - a tensor has that many facts
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        *,
        signature: Sequence[int] | None = None,
        grid: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        axis: int = 0,
        data: npt.NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor and return its number.

        Args:
            name: name in the file.
            shape: sizes of all axes.
            dtype: a key of ``_TYPES`` or its numpy type.
            signature: like ``shape`` with -1 where any size is accepted.
            grid: quantization as scales and zero points, one or one per channel.
            axis: channel axis of a grid with several scales.
            data: content of a constant; packed bytes where ``dtype`` is ``INT4``.
        """
        tensor = _Tensor()
        tensor.name = name.encode()
        tensor.shape = _numbers(shape)
        tensor.shapeSignature = None if signature is None else _numbers(signature)
        tensor.type = _TYPES[INT4 if dtype == INT4 else np.dtype(dtype).name]
        tensor.buffer = 0 if data is None else self._buffer(np.ascontiguousarray(data).tobytes())
        if grid is not None:
            scales = np.atleast_1d(np.asarray(grid[0], np.float32))
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.broadcast_to(grid[1], scales.shape).astype(np.int64)
            tensor.quantization.quantizedDimension = axis
        self._graph.tensors.append(self._table(tensor, tensor.quantization))
        return len(self._graph.tensors) - 1

    def operator(
        self,
        code: int,
        inputs: Sequence[int],
        output: int,
        *,
        version: int = 1,
        options: tuple[int, Any] | None = None,
    ) -> None:
        """Add an operator that reads ``inputs`` and makes ``output``.

        Args:
            code: a ``BuiltinOperator``.
            inputs: tensor numbers.
            output: tensor number.
            version: operator version, as low as its features allow.
            options: a ``BuiltinOptions`` tag and the options object.
        """
        operator = _Operator()
        operator.opcodeIndex = self._code(code, version)
        operator.inputs, operator.outputs = _numbers(inputs), _numbers([output])
        if options is not None:
            operator.builtinOptionsType, operator.builtinOptions = options
        self._graph.operators.append(self._table(operator, operator.builtinOptions))

    def sign(self, key: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Name inputs and outputs of the newest subgraph as signature ``key``."""
        self._graph.inputs = _numbers(list(inputs.values()))
        self._graph.outputs = _numbers(list(outputs.values()))
        signature = schema.SignatureDefT()
        signature.signatureKey = key.encode()
        signature.subgraphIndex = len(self._model.subgraphs) - 1
        signature.inputs = [_named(*item) for item in inputs.items()]
        signature.outputs = [_named(*item) for item in outputs.items()]
        self._model.signatureDefs.append(signature)

    def finish(
        self, inputs: Mapping[str, int], outputs: Mapping[str, int], metadata: Mapping[str, str]
    ) -> bytes:
        """Sign the only subgraph, attach text metadata and return the content of the file."""
        self.sign(ONLY_SIGNATURE, inputs, outputs)
        return self.pack(metadata)

    def pack(self, metadata: Mapping[str, str]) -> bytes:
        """Attach text metadata and return the content of the file."""
        self._metadata("min_runtime_version", _OLDEST_RUNTIME)
        for key, text in metadata.items():
            self._metadata(key, text.encode())
        builder = _SharingBuilder(1 << 20)
        builder.Finish(self._model.Pack(builder), _FILE_MARK)
        return bytes(builder.Output())

    def _table(self, made: Any, part: Any) -> Any:
        """Return the table of equal content that there is already, else ``made``."""
        key = (type(made), _content(made), type(part), _content(part))
        return self._tables.setdefault(key, made)

    def _buffer(self, content: bytes) -> int:
        if content not in self._stored:
            buffer = _AlignedBuffer()
            buffer.data = content
            self._model.buffers.append(buffer)
            self._stored[content] = len(self._model.buffers) - 1
        return self._stored[content]

    def _code(self, code: int, version: int) -> int:
        if (code, version) not in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = code
            entry.deprecatedBuiltinCode = min(code, _HIGHEST_OLD_CODE)
            entry.version = version
            self._model.operatorCodes.append(entry)
            self._codes[code, version] = len(self._model.operatorCodes) - 1
        return self._codes[code, version]

    def _metadata(self, key: str, content: bytes) -> None:
        entry = schema.MetadataT()
        entry.name = key.encode()
        entry.buffer = self._buffer(content)
        self._model.metadata.append(entry)


def pack_int4(values: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Return numbers of [-8, 7] as bytes of two, the first in the low half; a rest is 0."""
    flat = values.astype(np.uint8).ravel() & 0xF
    flat = np.append(flat, np.zeros(len(flat) % 2, np.uint8))
    return (flat[::2] | flat[1::2] << 4).astype(np.uint8)


def _numbers(values: Sequence[int]) -> npt.NDArray[np.int32]:
    return np.asarray(values, np.int32)


def _content(table: Any) -> Hashable:
    """Return the plain fields of a table; parts that are tables themselves are left out."""
    if table is None:
        return None
    return tuple(
        (name, value.dtype.str, value.tobytes())
        if isinstance(value, np.ndarray)
        else (name, tuple(value) if isinstance(value, list) else value)
        for name, value in vars(table).items()
        if isinstance(value, (np.ndarray, list, int, float, bytes, type(None)))
    )


def _named(name: str, number: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), number
    return entry
