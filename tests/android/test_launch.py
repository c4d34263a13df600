import base64
import json
import re
import struct

import numpy as np
import pytest

from edgesr.android.errors import (
    CrashError,
    DelegateError,
    DeviceError,
    RunnerError,
    RunTimeoutError,
    UnknownFlagError,
)
from edgesr.android.launch import Outcome, raw_latency, read_launch
from edgesr.android.runners import Flavour

GOOD = """INFO: count=50 first=100 curr=90 min=80 max=120 avg=95.5 std=7
INFO: Inference timings in us: Init: 500, First inference: 130, Warmup (avg): 101.5, Inference \
(avg): 95.5"""
START = 1_700_000_000_000_000_000


def answer(log: str, *, code: int | str = 0, seconds: float | None = 1.5, pb: bytes = b"") -> str:
    clocks = "" if seconds is None else f"{START} {START + int(seconds * 1e9)}"
    return (
        f"@@section run\n{log}\n\n@@section exit\n{code} {clocks}\n"
        f"@@section pb\n{base64.encodebytes(pb).decode()}\n"
    )


def read(text: str, *, flavour: Flavour = "classic", kind: str = "cpu") -> Outcome:
    return read_launch(text, flavour=flavour, kind=kind, timeout_s=60, who="m cpu")


def test_a_log_alone_gives_what_it_prints_and_no_more() -> None:
    found = read(answer(GOOD))
    assert found.error is None
    assert found.latency is not None
    assert (found.latency.source, found.latency.n, found.latency.avg) == ("text", 50, 95.5)
    assert (found.latency.p50, found.latency.p90, found.latency.p99) == (None, None, None)
    assert (found.init_us, found.first_us, found.elapsed_s) == (500, 130, 1.5)


def test_the_result_file_has_more_than_the_log() -> None:
    fields = b"".join(
        bytes([number << 3 | 5]) + struct.pack("<f", value)
        for number, value in ((1, 0.0955), (5, 0.09), (7, 0.119))
    )
    pb = bytes([2 << 3 | 2, len(fields)]) + fields
    latency = read(answer(GOOD, pb=pb)).latency
    assert latency is not None
    assert latency.source == "pb"
    assert latency.p50 == pytest.approx(90)
    assert (latency.n, latency.p90) == (50, None)


def test_a_damaged_result_file_leaves_the_log_and_says_so() -> None:
    latency = read(answer(GOOD, pb=b"\x12\x7f")).latency
    assert latency is not None
    assert latency.source == "text"


@pytest.mark.parametrize(
    ("log", "code", "seconds", "kind", "words"),
    [
        ("boom", 139, 1, CrashError, "SIGSEGV"),
        ("boom", 134, 1, CrashError, "SIGABRT"),
        ("boom", 135, 1, CrashError, "SIGBUS"),
        ("boom", 137, 1, CrashError, "memory ran out"),
        ("boom", 137, 60, RunTimeoutError, "--timeout"),
        ("boom", 137, None, RunTimeoutError, "--timeout"),
        ("boom", 124, 60, RunTimeoutError, "--timeout"),
        ("sh: ./r: not found", 127, 1, RunnerError, "not found"),
        ("sh: ./r: not executable: 64-bit ELF file", 126, 1, RunnerError, "64-bit"),
        ('CANNOT LINK EXECUTABLE "r": library "x"', 1, 1, RunnerError, "LINK"),
        (
            "ERROR: Failed to load model\nERROR: Benchmarking failed.",
            1,
            1,
            CrashError,
            "load model",
        ),
        ("ERROR: Failed to allocate tensors!", 1, 1, CrashError, "allocate"),
        (
            "Disallowed CPU fallback detected.\nBenchmarking failed.",
            1,
            1,
            DelegateError,
            "fallback",
        ),
        ("ERROR: Failed to apply NNAPI delegate.", 1, 1, DelegateError, "NNAPI"),
        (f"WARN: Unconsumed cmdline flags: --use_x=1\n{GOOD}", 0, 1, UnknownFlagError, "--use_x=1"),
        ("INFO: STARTING!", 0, 1, CrashError, "no result"),
        ("", 0, 1, CrashError, "printed nothing"),
        (GOOD, "", None, CrashError, "no exit status"),
    ],
)
def test_each_end_is_an_error_of_its_own(
    log: str, code: int | str, seconds: float | None, kind: type[DeviceError], words: str
) -> None:
    found = read(answer(log, code=code, seconds=seconds))
    assert type(found.error) is kind
    assert words in str(found.error)
    assert found.latency is None
    assert found.log == log


def test_a_log_cut_short_is_an_error() -> None:
    assert isinstance(read("@@section run\nINFO: STARTING!\n").error, CrashError)


SAMPLES = [float(value) for value in range(1, 101)]


def native(**changed: object) -> str:
    told = {
        "schema": "edgesr.runner/1",
        "engine": "litert",
        "engine_version": "2.3.0",
        "fully_accelerated": True,
        "init_us": 900.5,
        "peak_kib": 2048,
        "warmup_us": [200.0, 100.0],
        "samples_us": SAMPLES,
    }
    return json.dumps(told | changed)


def test_every_latency_gives_true_percentiles() -> None:
    found = read(answer(f"INFO: noise {{\n{native()}"), flavour="native", kind="gpu")
    assert found.error is None
    assert found.latency is not None
    assert found.latency.source == "raw"
    assert found.latency.samples == tuple(SAMPLES)
    quantiles = (found.latency.p50, found.latency.p90, found.latency.p99)
    assert quantiles == tuple(np.quantile(SAMPLES, [0.5, 0.9, 0.99]))
    assert (found.first_us, found.warmup_avg_us, found.init_us) == (200, 150, 900.5)
    assert found.memory_mb == {"peak": 2}
    assert found.engine == "litert 2.3.0"
    assert found.delegation.status == "full"


@pytest.mark.parametrize(
    ("kind", "full", "status"),
    [
        ("gpu", False, "partial"),
        ("gpu", None, "unknown"),
        ("cpu", False, "unknown"),
        ("cpu", True, "full"),
    ],
)
def test_the_runner_says_whether_all_was_accelerated(
    kind: str,
    full: bool | None,  # noqa: FBT001 - a column of the table
    status: str,
) -> None:
    found = read(answer(native(fully_accelerated=full)), flavour="native", kind=kind)
    assert found.delegation.status == status


@pytest.mark.parametrize(
    ("log", "code", "kind", "words"),
    [
        (
            '{"schema":"edgesr.runner/1","error":"dlopen","detail":"no such file","status":0}',
            1,
            CrashError,
            "no such file",
        ),
        ("--nonsense: not understood\nusage: edgesr-runner", 2, UnknownFlagError, "--nonsense"),
        ("", 139, CrashError, "SIGSEGV"),
        (native(samples_us=[]), 0, CrashError, "latencies"),
        (native(samples_us=[1.0, -1.0]), 0, CrashError, "latencies"),
        ("no json", 0, CrashError, "no result"),
    ],
)
def test_a_refusal_of_the_runner_is_an_error(
    log: str, code: int, kind: type[DeviceError], words: str
) -> None:
    found = read(answer(log, code=code), flavour="native")
    assert type(found.error) is kind
    assert re.search(words, str(found.error))


def test_an_accelerator_that_cannot_be_made_is_a_refused_delegate() -> None:
    told = '{"error":"LiteRtCreateCompiledModel","detail":"LiteRT refused","status":504}'
    error = read(answer(told, code=1), flavour="native", kind="gpu").error
    assert isinstance(error, DelegateError)
    assert str(error).endswith("LiteRtCreateCompiledModel: LiteRT refused (status 504)")


def test_raw_latency_keeps_the_population_deviation() -> None:
    assert raw_latency([1.0, 3.0]).std == 1.0
