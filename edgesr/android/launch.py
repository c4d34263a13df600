"""Make one value of what a launch printed, and say what is wrong with it."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgesr.android.delegation import Delegation, Status, delegation_of
from edgesr.android.errors import (
    CrashError,
    DelegateError,
    DeviceError,
    RunnerError,
    RunTimeoutError,
    UnknownFlagError,
)
from edgesr.android.logs import RunnerLog, Stats, parse_log
from edgesr.android.native import parse_native
from edgesr.android.results_pb import BenchmarkProto, parse_results
from edgesr.android.runners import Flavour
from edgesr.android.sections import split_sections
from edgesr.android.state import State, parse_state
from edgesr.errors import DataError

_SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV"}
_SHELL_SIGNAL, _KILLED, _TIMED_OUT = 128, 137, 124
_NO_PROGRAM = (126, 127)
_USAGE = 2
_LOADER = ("CANNOT LINK EXECUTABLE", "not executable", "Exec format error")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Counted inferences in microseconds. What the program does not tell is None.

    Attributes:
        n: how many.
        avg, min, max, std, p5, p50, p90, p95, p99: of them; ``std`` is that of the population.
        source: ``raw`` where every latency is known, ``pb`` of a result file, ``text`` of the log.
        samples: every latency in order, where it is known.
    """

    n: int
    avg: float | None = None
    min: float | None = None
    max: float | None = None
    std: float | None = None
    p5: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    source: str
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one launch gave.

    Attributes:
        exit_code: of the runner; None where it never came.
        elapsed_s: time of the runner by the phone's clock.
        log: everything that it printed.
        profile: CSV of operators, where asked for.
        latency: counted inferences; None where it failed.
        warmup_n: uncounted inferences.
        warmup_avg_us: their mean.
        init_us: loading.
        first_us: first inference.
        memory_mb: init, overall, peak in MiB.
        delegation: what ran the graph.
        accelerators: of NNAPI, as the program lists them.
        engine: library that ran the graph, where the program tells.
        after: state of the phone behind it.
        error: why it is no result; None when it is one.
    """

    exit_code: int | None
    elapsed_s: float | None = None
    log: str = ""
    profile: str = ""
    latency: Latency | None = None
    warmup_n: int | None = None
    warmup_avg_us: float | None = None
    init_us: float | None = None
    first_us: float | None = None
    memory_mb: Mapping[str, float] = field(default_factory=dict)
    delegation: Delegation = field(default_factory=lambda: Delegation(status="unknown"))
    accelerators: tuple[str, ...] = ()
    engine: str | None = None
    after: State = field(default_factory=State)
    error: DeviceError | None = None


def read_launch(text: str, *, flavour: Flavour, kind: str, timeout_s: float, who: str) -> Outcome:
    """Read the answer to a launch's script.

    Args:
        text: what the script printed.
        flavour: of the runner.
        kind: of the back end.
        timeout_s: that the phone's ``timeout`` had.
        who: model and back end, for messages.
    """
    sections = split_sections(text)
    log = sections.get("run", "").strip("\n")
    code, elapsed = _exit(sections.get("exit", ""))
    error = _failure(log, code, elapsed, timeout_s, who)
    after = parse_state(sections)
    base: dict[str, Any] = {
        "exit_code": code,
        "elapsed_s": elapsed,
        "log": log,
        "profile": sections.get("profile", ""),
        "after": after,
    }
    if flavour == "native":
        return _native(base, log, error, kind, who)
    told = parse_log(log)
    if error is None and told.unknown_flags:
        error = UnknownFlagError(
            f"{who}: the runner does not know {' '.join(told.unknown_flags)} and measured "
            "something else; use a newer one, or the other flavour"
        )
    proto = _proto(sections.get("pb", ""))
    latency = _latency(told.measured, proto)
    delegation = delegation_of(told, kind)
    if isinstance(error, CrashError) and told.refused is not None:
        error = DelegateError(f"{who}: the runner gave up: {told.refused}")
    if error is None and latency is None:
        error = CrashError(f"{who}: the log holds no result; {_tail(told, log)}")
    return Outcome(
        **base,
        latency=None if error else latency,
        warmup_n=told.warmup.count if told.warmup else None,
        warmup_avg_us=told.warmup_avg_us,
        init_us=told.init_us,
        first_us=told.first_us,
        memory_mb=_memory(told, proto),
        delegation=delegation,
        accelerators=told.accelerators,
        error=error,
    )


def raw_latency(samples: Sequence[float]) -> Latency:
    """Summarise latencies in microseconds that are all known; quantiles are interpolated."""
    values = np.asarray(samples, dtype=np.float64)
    p5, p50, p90, p95, p99 = (float(v) for v in np.quantile(values, [0.05, 0.5, 0.9, 0.95, 0.99]))
    return Latency(
        n=len(values),
        avg=float(values.mean()),
        min=float(values.min()),
        max=float(values.max()),
        std=float(values.std()),
        p5=p5,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        source="raw",
        samples=tuple(samples),
    )


def _native(
    base: dict[str, Any], log: str, error: DeviceError | None, kind: str, who: str
) -> Outcome:
    if base["exit_code"] == _USAGE and "not understood" in log:
        return Outcome(**base, error=UnknownFlagError(f"{who}: {log.splitlines()[0]}"))
    try:
        run = parse_native(log)
    except DataError as problem:
        return Outcome(**base, error=error or CrashError(f"{who}: {problem}"))
    if run.error is not None:
        end = CrashError if kind == "cpu" else DelegateError
        return Outcome(**base, error=end(f"{who}: the runner refused: {run.error}"))
    delegation = Delegation(status=_share(kind, run.full), delegate=kind.upper())
    warm = run.warmup_us
    return Outcome(
        **base,
        latency=None if error else raw_latency(run.samples_us),
        warmup_n=len(warm),
        warmup_avg_us=sum(warm) / len(warm) if warm else None,
        init_us=run.init_us,
        first_us=warm[0] if warm else run.samples_us[0],
        memory_mb={} if run.peak_mb is None else {"peak": run.peak_mb},
        delegation=delegation,
        engine=run.engine,
        error=error,
    )


def _share(kind: str, full: bool | None) -> Status:  # noqa: FBT001 - what the runner says
    if full is None or (kind == "cpu" and not full):
        return "unknown"  # plain kernels beside XNNPACK are the CPU as well
    return "full" if full else "partial"


def _exit(text: str) -> tuple[int | None, float | None]:
    words = text.split()
    code = int(words[0]) if words and words[0].isdigit() else None
    clocks = [int(word) for word in words[1:3] if word.isdigit()]
    whole = len(clocks) == 2 and min(clocks) > 10**15  # noqa: PLR2004 - nanoseconds since 1970
    return code, (clocks[1] - clocks[0]) / 1e9 if whole else None


def _failure(
    log: str, code: int | None, elapsed: float | None, timeout_s: float, who: str
) -> DeviceError | None:
    """Return what an exit status means; the programs end with 1 for every refusal."""
    last = _last_lines(log)
    if code in _NO_PROGRAM or any(words in log for words in _LOADER):
        return RunnerError(f"{who}: the runner does not start ({last}); check its processor")
    ended = elapsed is None or elapsed >= timeout_s
    if code == _TIMED_OUT or (code == _KILLED and ended):
        return RunTimeoutError(
            f"{who}: no end in {timeout_s:.0f} s; raise --timeout, or the driver hangs ({last})"
        )
    if code is None:
        return CrashError(f"{who}: the phone told no exit status ({last})")
    if code > _SHELL_SIGNAL:
        name = _SIGNALS.get(code - _SHELL_SIGNAL, f"signal {code - _SHELL_SIGNAL}")
        hint = "memory ran out" if code == _KILLED else "the driver or the runner crashed"
        return CrashError(f"{who}: the runner ended by {name}, {hint}; last lines: {last}")
    if code:
        return CrashError(f"{who}: the runner ended with {code}; last lines: {last}")
    return None


def _proto(text: str) -> BenchmarkProto | None:
    """Decode the file of results; where it is damaged the log has to do, and ``source`` says so."""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
        return parse_results(data) if data else None
    except (binascii.Error, ValueError, DataError):
        return None


def _latency(stats: Stats | None, proto: BenchmarkProto | None) -> Latency | None:
    if proto is not None and proto.latency_us.get("avg"):
        told = proto.latency_us
        return Latency(
            n=proto.runs or (stats.count if stats else 0),
            avg=told.get("avg"),
            min=told.get("min"),
            max=told.get("max"),
            std=told.get("std"),
            p5=told.get("p5"),
            p50=told.get("p50"),
            p95=told.get("p95"),
            source="pb",
        )
    if stats is None or not stats.avg:
        return None
    return Latency(
        n=stats.count,
        avg=stats.avg,
        min=stats.min,
        max=stats.max,
        std=stats.std,
        p5=stats.p5,
        p50=stats.p50,
        p95=stats.p95,
        source="text",
    )


def _memory(log: RunnerLog, proto: BenchmarkProto | None) -> dict[str, float]:
    found = dict(log.memory_mb)
    if proto is not None:
        told = {"init": proto.init_mb, "overall": proto.overall_mb, "peak": proto.peak_mb}
        found |= {name: value for name, value in told.items() if value}
    return found


def _tail(told: RunnerLog, log: str) -> str:
    return "; ".join(told.trouble[-2:]) or _last_lines(log)


def _last_lines(log: str) -> str:
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-300:] or "it printed nothing"
