r"""Files of packed networks, ``.esb``: bits, half-precision tables, and JSON that names them.

All numbers are little-endian::

    0   8  b"EDGESRB\n"
    8   4  version, 1
    12  4  bytes of JSON
    16  8  bytes of the file
    24  32 SHA-256 of all that follows
    56     JSON, UTF-8: {"about": {...}, "tensors": [{"name", "kind", "shape", "offset"}, ...]}
    ...    tensors in that order, each at the next multiple of 64, with zeros between

A tensor is ``bits``, one bit a value in C order with the first in the lowest bit, zeros behind the
last; or ``float16`` or ``float32``. Nothing else is in a file, and nothing of it is executed.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import CheckpointError
from edgesr.files import write_bytes

SUFFIX = ".esb"
MAGIC = b"EDGESRB\n"
VERSION = 1
_FIXED = struct.Struct("<8sIIQ32s")
_ALIGN = 64
_BITS = 8
_MAX_JSON, _MAX_RANK, _MAX_VALUES = 1 << 24, 8, 1 << 31
_KEYS = frozenset({"name", "kind", "shape", "offset"})
_AGAIN = "export it again with edgesr export --binary"
_FLOATS: Mapping[str, str] = MappingProxyType({"float16": "<f2", "float32": "<f4"})

Tensors = Mapping[str, NDArray[Any]]
"""By name: bool arrays are written as bits, float16 and float32 as they are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EsbFile:
    """What a file holds.

    Attributes:
        about: JSON values.
        tensors: bool, float16 or float32 arrays by name.
    """

    about: Mapping[str, Any]
    tensors: Tensors


def write_esb(path: Path, content: EsbFile) -> int:
    """Write a file atomically and return its bytes.

    Raises:
        OutputError: the path cannot be written.
    """
    data = to_bytes(content)
    write_bytes(path, data)
    return len(data)


def to_bytes(content: EsbFile) -> bytes:
    """Return the bytes of a file; equal content gives equal bytes."""
    packed = {name: _packed(value) for name, value in content.tensors.items()}
    entries = [
        {"name": name, "kind": kind, "shape": list(content.tensors[name].shape), "offset": 0}
        for name, (kind, _) in packed.items()
    ]
    # offsets have as many digits as they need, which moves what follows: repeat until it settles
    header = b""
    for _ in range(_MAX_RANK):
        text = {"about": dict(content.about), "tensors": entries}
        last, header = header, json.dumps(text, sort_keys=True, allow_nan=False).encode()
        if header == last:
            break
        end = _FIXED.size + len(header)
        for entry, (_, data) in zip(entries, packed.values(), strict=True):
            entry["offset"] = _aligned(end)
            end = _aligned(end) + len(data)
    body = bytearray(header)
    for entry, (_, data) in zip(entries, packed.values(), strict=True):
        offset: Any = entry["offset"]
        body += bytes(offset - _FIXED.size - len(body)) + data
    size, digest = _FIXED.size + len(body), hashlib.sha256(body).digest()
    return _FIXED.pack(MAGIC, VERSION, len(header), size, digest) + bytes(body)


def read_esb(path: Path) -> EsbFile:
    """Read a file.

    Raises:
        CheckpointError: it is missing, damaged, or of another version.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check it") from error
    return from_bytes(data, str(path))


def from_bytes(data: bytes, where: str) -> EsbFile:
    """Parse the bytes of a file, trusting none of them.

    Args:
        data: all of the file.
        where: file, for messages.

    Raises:
        CheckpointError: they are no such file; it says what is wrong.
    """
    try:
        return _parse(data)
    except _DamagedError as error:
        raise CheckpointError(f"{where}: {error}; {_AGAIN}") from error


class _DamagedError(Exception):
    pass


def _parse(data: bytes) -> EsbFile:
    if len(data) < _FIXED.size or not data.startswith(MAGIC):
        raise _DamagedError(f"is no {SUFFIX} file")
    _, version, header, size, digest = _FIXED.unpack_from(data)
    if version != VERSION:
        raise _DamagedError(f"is of version {version}, want {VERSION}")
    if size != len(data):
        raise _DamagedError(f"has {len(data)} bytes, but says {size}")
    if header > min(_MAX_JSON, size - _FIXED.size):
        raise _DamagedError(f"says that it has {header} bytes of JSON")
    if hashlib.sha256(memoryview(data)[_FIXED.size :]).digest() != digest:
        raise _DamagedError("does not have the checksum that it says")
    end = _FIXED.size + header
    document = _json(data[_FIXED.size : end])
    tensors, end = _tensors(data, document["tensors"], end)
    if end != size:
        raise _DamagedError(f"has {size - end} bytes behind its tensors")
    return EsbFile(about=document["about"], tensors=tensors)


def _tensors(data: bytes, entries: list[Any], end: int) -> tuple[dict[str, NDArray[Any]], int]:
    """Return the tensors and the place behind the last, each checked against the one before."""
    tensors: dict[str, NDArray[Any]] = {}
    for entry in entries:
        name, kind, shape, offset = _entry(entry)
        if name in tensors:
            raise _DamagedError(f"has tensor {name!r} twice")
        count = math.prod(shape)
        length = _length(kind, count)
        if offset != _aligned(end) or offset + length > len(data):
            raise _DamagedError(f"tensor {name!r} is at {offset} with {length} bytes, which is not")
        tensors[name] = _values(data, kind, shape, offset)
        end = offset + length
    return tensors, end


def _json(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _DamagedError(f"its JSON cannot be read ({str(error)[:80]})") from error
    if not isinstance(document, dict):
        raise _DamagedError("its JSON holds no names")
    if not isinstance(document.get("about"), dict) or not isinstance(document.get("tensors"), list):
        raise _DamagedError("has no facts or no list of tensors")
    return document


def _entry(entry: Any) -> tuple[str, str, tuple[int, ...], int]:
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        raise _DamagedError("an entry of its tensors has other keys")
    name, kind, shape, offset = (entry[key] for key in ("name", "kind", "shape", "offset"))
    if not isinstance(name, str) or kind not in ("bits", *_FLOATS):
        raise _DamagedError(f"has a tensor {str(name)[:80]!r} of kind {str(kind)[:80]!r}")
    if not isinstance(shape, list) or len(shape) > _MAX_RANK or type(offset) is not int:
        raise _DamagedError(f"tensor {name[:80]!r} has no shape or place")
    total = 1
    for side in shape:
        if type(side) is not int or not 0 < side <= _MAX_VALUES:
            raise _DamagedError(f"tensor {name[:80]!r} has a side that is none")
        total *= side
    if total > _MAX_VALUES:
        raise _DamagedError(f"tensor {name[:80]!r} has too many values")
    return name, kind, tuple(shape), offset


def _values(data: bytes, kind: str, shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    count = math.prod(shape)
    if kind == "bits":
        raw = np.frombuffer(data, np.uint8, _length(kind, count), offset)
        bits = np.unpackbits(raw, bitorder="little")
        if bits[count:].any():
            raise _DamagedError("has bits set behind the last of a tensor")
        return bits[:count].astype(np.bool_).reshape(shape)
    values = np.frombuffer(data, _FLOATS[kind], count, offset).reshape(shape)
    if not np.isfinite(values).all():
        raise _DamagedError("holds NaN or infinity")
    return values


def _packed(values: NDArray[Any]) -> tuple[str, bytes]:
    if values.dtype == np.bool_:
        return "bits", np.packbits(values.ravel(), bitorder="little").tobytes()
    kind = str(values.dtype)
    return kind, np.ascontiguousarray(values, _FLOATS[kind]).tobytes()


def _length(kind: str, count: int) -> int:
    return -(-count // _BITS) if kind == "bits" else count * np.dtype(_FLOATS[kind]).itemsize


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}")
