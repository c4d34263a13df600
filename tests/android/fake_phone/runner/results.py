"""``results.pb`` as benchmark_model writes it: benchmark_result.proto, encoded by hand."""

import statistics
import struct

_FLOAT, _VARINT, _BYTES = 5, 0, 2


def encode_results(
    init_us: int, warm_us: list[int], times_us: list[int], model_bytes: int
) -> bytes:
    ordered = sorted(times_us)
    cut = [ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in (50, 5, 95)]
    mean = statistics.fmean
    latency_us = (mean(times_us), min(times_us), max(times_us), statistics.pstdev(times_us), *cut)
    latency_us += (init_us, (warm_us or [0])[0], mean(warm_us or [0]))
    latency = b"".join(_float(number, us / 1e3) for number, us in enumerate(latency_us, 1))
    misc = _float(1, model_bytes / 1e6) + _whole(2, len(times_us)) + _whole(3, len(warm_us))
    return _message(2, latency) + _message(4, misc)


def _float(number: int, value: float) -> bytes:
    return bytes([number << 3 | _FLOAT]) + struct.pack("<f", value)


def _whole(number: int, value: int) -> bytes:
    return bytes([number << 3 | _VARINT]) + _varint(value)


def _message(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
