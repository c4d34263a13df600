"""Decode ``results.pb``, which newer ``benchmark_model`` programs write, without protobuf.

Source: LiteRT, tflite/tools/benchmark/proto/benchmark_result.proto.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edgesr.errors import DataError

_LATENCY = (
    "avg",
    "min",
    "max",
    "std",
    "p50",
    "p5",
    "p95",
    "init",
    "first_inference",
    "average_warm_up",
)
_WIRE_VARINT, _WIRE_64, _WIRE_BYTES, _WIRE_32 = 0, 1, 2, 5
_MB = 1024.0


@dataclass(frozen=True, kw_only=True)
class BenchmarkProto:
    """What the file tells; unknown is missing or None.

    Attributes:
        latency_us: avg, min, max, std, p50, p5, p95, init, first_inference, average_warm_up.
        init_mb: memory after loading, MiB.
        overall_mb: memory at the end, MiB.
        peak_mb: highest memory, MiB.
        runs: counted inferences.
        warmup_runs: uncounted ones.
    """

    latency_us: dict[str, float]
    init_mb: float | None
    overall_mb: float | None
    peak_mb: float | None
    runs: int | None
    warmup_runs: int | None


def parse_results(data: bytes) -> BenchmarkProto:
    """Decode the content of the file; fields of newer versions are skipped.

    Raises:
        DataError: it is damaged.
    """
    try:
        top = dict(_fields(data))
        latency = dict(_fields(_message(top.get(2))))
        memory = dict(_fields(_message(top.get(3))))
        misc = dict(_fields(_message(top.get(4))))
    except (IndexError, struct.error, ValueError) as error:
        raise DataError(
            f"results.pb: {len(data)} bytes are damaged ({error}); run the launch again"
        ) from error
    named = {name: _real(latency.get(number), 1) for number, name in enumerate(_LATENCY, 1)}
    return BenchmarkProto(
        latency_us={n: round(1e3 * value, 2) for n, value in named.items() if value is not None},
        init_mb=_real(memory.get(1), _MB),
        overall_mb=_real(memory.get(2), _MB),
        peak_mb=_real(memory.get(3), 1),
        runs=_whole(misc.get(2)),
        warmup_runs=_whole(misc.get(3)),
    )


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == _WIRE_VARINT:
            whole, place = _varint(data, place)
            yield number, whole
        elif wire in {_WIRE_32, _WIRE_64}:
            form = "<f" if wire == _WIRE_32 else "<d"
            (real,) = struct.unpack_from(form, data, place)
            place += struct.calcsize(form)
            yield number, real
        elif wire == _WIRE_BYTES:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise ValueError(f"{size} bytes announced at {place}")
            yield number, data[place : place + size]
            place += size
        else:
            raise ValueError(f"wire type {wire} at {place}")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the high bit says that another byte follows
            return value, place


def _message(value: float | bytes | None) -> bytes:
    if value is not None and not isinstance(value, bytes):
        raise ValueError("a number where a message belongs")
    return value or b""


def _real(value: float | bytes | None, divisor: float) -> float | None:
    """Return a number; negative memory is the tool's "unknown"."""
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    # int64 of the wire: a negative number comes as one beyond 2**63
    return None if value >= 2**63 else value / divisor


def _whole(value: float | bytes | None) -> int | None:
    return value if isinstance(value, int) else None
