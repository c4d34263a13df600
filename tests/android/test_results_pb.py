import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesr.android.results_pb import parse_results
from edgesr.errors import DataError


def real(number: int, value: float) -> bytes:
    return bytes([number << 3 | 5]) + struct.pack("<f", value)


def whole(number: int, value: int) -> bytes:
    out, value = bytearray([number << 3]), value % 2**64
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


LATENCY = message(2, b"".join(real(number, number * 1.5) for number in range(1, 11)))


def test_every_latency_is_in_microseconds() -> None:
    found = parse_results(LATENCY)
    assert found.latency_us["avg"] == 1500
    assert found.latency_us["p50"] == 7500
    assert found.latency_us["p95"] == 10500
    assert found.latency_us["init"] == 12000
    assert found.latency_us["average_warm_up"] == 15000


def test_memory_is_in_mebibytes_and_counts_are_counts() -> None:
    memory = message(3, whole(1, 10240) + whole(2, 20480) + real(3, 24.75))
    misc = message(4, real(1, 0.05) + whole(2, 50) + whole(3, 7) + real(4, 24.0))
    found = parse_results(message(1, b"name") + LATENCY + memory + misc)
    assert (found.init_mb, found.overall_mb, found.peak_mb) == (10, 20, 24.75)
    assert (found.runs, found.warmup_runs) == (50, 7)


def test_what_the_program_does_not_know_is_none() -> None:
    found = parse_results(LATENCY + message(3, whole(1, -1) + real(3, -1.0)))
    assert (found.init_mb, found.overall_mb, found.peak_mb, found.runs) == (None, None, None, None)


def test_fields_of_later_versions_are_skipped() -> None:
    later = bytes([9 << 3 | 1]) + bytes(8) + message(11, b"new") + whole(12, 5)
    assert parse_results(later + LATENCY) == parse_results(LATENCY)


def test_an_empty_file_knows_nothing() -> None:
    assert parse_results(b"").latency_us == {}


@pytest.mark.parametrize("cut", range(1, len(LATENCY)))
def test_a_cut_file_is_refused(cut: int) -> None:
    with pytest.raises(DataError, match="damaged"):
        parse_results(LATENCY[:cut])


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DataError):
        parse_results(data)
