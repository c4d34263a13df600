"""Read any .tflite file, honest or not: all subgraphs and signatures, every number checked."""

import math
import struct
from functools import cache
from pathlib import Path

import numpy as np

from edgesr.errors import CheckpointError, MissingDependencyError
from edgesr.lint.bounded import Bytes, DamagedError, Table
from edgesr.lint.model import NUMPY, Model, Operator, Subgraph, Tensor
from edgesr.lint.options import read_options

_MARK = b"TFL3"
_SHORTEST = 16
_MAX_RANK = 32
_HALF_BYTE = frozenset({"INT4", "UINT4"})
_CUSTOM = "CUSTOM"


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(f"{path}: cannot be read ({reason}); check the path") from error


def read_model(content: bytes, name: str) -> Model:
    """Read a file.

    Args:
        content: the file.
        name: what messages call it.

    Raises:
        CheckpointError: it is no .tflite file, truncated or damaged.
        MissingDependencyError: the runtime that is installed brings no schema.
    """
    if len(content) < _SHORTEST or content[4:8] != _MARK:
        raise CheckpointError(
            f"{name}: {len(content)} bytes without the TFL3 mark, want a .tflite file; "
            "the file is damaged or of another kind"
        )
    try:
        return _model(Bytes(content=content))
    except (DamagedError, struct.error) as error:
        raise CheckpointError(
            f"{name}: {len(content)} bytes are damaged or truncated ({error}); copy or convert "
            "it again"
        ) from error


@cache
def _names(kind: str) -> dict[int, str]:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise MissingDependencyError(
            "linting needs the schema in ai_edge_litert; pip install ai-edge-litert"
        ) from error
    return {code: name for name, code in vars(getattr(schema, kind)).items() if name.isupper()}


def _model(file: Bytes) -> Model:
    root = file.root()
    operators = _names("BuiltinOperator")
    codes: list[tuple[str, int]] = []
    for entry in root.tables(1):
        code = max(entry.number(3, "i"), entry.number(0, "b"))
        if code not in operators:
            raise DamagedError(f"operator code {code} is unknown")
        name = operators[code]
        codes.append(
            (f"{_CUSTOM}:{entry.text(1)}" if name == _CUSTOM else name, entry.number(2, "i", 1))
        )
    buffers = [_buffer(one, file) for one in root.tables(4)]
    types = _names("TensorType")
    graphs = tuple(
        _subgraph(number, one, codes, buffers, types) for number, one in enumerate(root.tables(2))
    )
    if not graphs:
        raise DamagedError("it has no subgraph")
    signatures = tuple((one.text(2), one.number(4, "I")) for one in root.tables(7))
    for key, number in signatures:
        _in_range(number, len(graphs), f"the subgraph of signature {key!r}")
    return Model(subgraphs=graphs, signatures=signatures, size=len(file.content))


def _buffer(table: Table, file: Bytes) -> memoryview | None:
    start, count = table.raw(0)
    if not count and table.number(2, "Q") > 1:  # data behind the flatbuffer, for files over 2 GB
        start, count = table.number(1, "Q"), table.number(2, "Q")
    return file.take(start, count) if count else None


def _subgraph(
    number: int,
    table: Table,
    codes: list[tuple[str, int]],
    buffers: list[memoryview | None],
    types: dict[int, str],
) -> Subgraph:
    tensors = tuple(
        _tensor(place, one, buffers, types) for place, one in enumerate(table.tables(0))
    )
    return Subgraph(
        index=number,
        name=table.text(4),
        tensors=tensors,
        operators=tuple(
            _operator(place, one, codes, len(tensors)) for place, one in enumerate(table.tables(3))
        ),
        inputs=_indices(table, 1, len(tensors), "an input"),
        outputs=_indices(table, 2, len(tensors), "an output"),
    )


def _tensor(
    number: int, table: Table, buffers: list[memoryview | None], types: dict[int, str]
) -> Tensor:
    code = table.number(1, "b")
    if code not in types:
        raise DamagedError(f"tensor {number} is of unknown type {code}")
    shape = _sizes(table, 0, number)
    signature = _sizes(table, 7, number) or shape
    if len(signature) != len(shape):
        raise DamagedError(f"tensor {number} has {len(shape)} axes and {len(signature)} free ones")
    buffer = table.number(2, "I")
    _in_range(buffer, len(buffers), f"the buffer of tensor {number}")
    dtype, data = types[code], buffers[buffer]
    sparse = table.table(6) is not None
    if data is not None and not sparse:
        _check_data(number, dtype, shape, len(data))
    scales, zeros, axis = _grid(table, number)
    return Tensor(
        index=number,
        name=table.text(3),
        shape=shape,
        signature=signature,
        dtype=dtype,
        data=data,
        scales=scales,
        zero_points=zeros,
        axis=axis,
        variable=bool(table.number(5, "?")),
        sparse=sparse,
    )


def _check_data(number: int, dtype: str, shape: tuple[int, ...], found: int) -> None:
    count = math.prod(shape)
    if dtype in _HALF_BYTE:
        wanted = (count + 1) // 2
    elif dtype in NUMPY:
        wanted = count * np.dtype(NUMPY[dtype]).itemsize
    else:
        return
    if found != wanted:
        raise DamagedError(f"tensor {number} holds {found} bytes, want {wanted}")


def _grid(table: Table, number: int) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    quantization = table.table(4)
    if quantization is None:
        return (), (), 0
    scales = quantization.numbers(2, np.float32)
    zeros = quantization.numbers(3, np.int64)
    if scales is None or not len(scales):
        return (), (), 0
    if zeros is None or not len(zeros):
        zeros = np.zeros(len(scales), np.int64)
    if len(zeros) != len(scales):
        raise DamagedError(f"tensor {number} has {len(scales)} scales, {len(zeros)} zero points")
    return (
        tuple(float(one) for one in scales),
        tuple(int(one) for one in zeros),
        quantization.number(6, "i"),
    )


def _operator(number: int, table: Table, codes: list[tuple[str, int]], tensors: int) -> Operator:
    place = table.number(0, "I")
    _in_range(place, len(codes), f"the code of operator {number}")
    name, version = codes[place]
    return Operator(
        index=number,
        name=name,
        version=version,
        inputs=_indices(table, 1, tensors, f"an input of operator {number}", lowest=-1),
        outputs=_indices(table, 2, tensors, f"an output of operator {number}"),
        options=read_options(name, table.table(4)),
    )


def _sizes(table: Table, slot: int, number: int) -> tuple[int, ...]:
    found = table.numbers(slot, np.int32)
    sizes = () if found is None else tuple(int(one) for one in found)
    if len(sizes) > _MAX_RANK or any(one < -1 for one in sizes):
        raise DamagedError(f"tensor {number} has shape {sizes[:_MAX_RANK]}")
    return sizes


def _indices(table: Table, slot: int, limit: int, what: str, lowest: int = 0) -> tuple[int, ...]:
    found = table.numbers(slot, np.int32)
    indices = () if found is None else tuple(int(one) for one in found)
    for one in indices:
        _in_range(one, limit, what, lowest=lowest)
    return indices


def _in_range(number: int, limit: int, what: str, *, lowest: int = 0) -> None:
    if not lowest <= number < limit:
        raise DamagedError(f"{what} is number {number} of {limit}")
