"""The stored result, schema ``edgesr.bench/1``: made launch by launch, checked when read."""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from edgesr import __version__
from edgesr.android.heat import SLOWER, slowdown
from edgesr.android.launch import Outcome
from edgesr.android.request import Case, Settings
from edgesr.android.state import State
from edgesr.errors import DataError

SCHEMA = "edgesr.bench/1"
TIMES = ("avg", "min", "max", "std", "p5", "p50", "p90", "p95", "p99")
"""Statistics of a latency, in the order of tables."""


def new_document(  # noqa: PLR0913 - one argument a part of the result
    *,
    command: Sequence[str],
    request: Mapping[str, Any],
    host: Mapping[str, Any],
    device: Mapping[str, Any],
    runner: Mapping[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    """Return a result without cases.

    Args:
        command: line that the user typed; serial numbers are replaced.
        request: flags as values, for ``--resume``.
        host: system and adb of this computer.
        device: facts of the phone with the salted hash of its serial number.
        runner: program that measures.
        settings: how it measures.
    """
    return {
        "schema": SCHEMA,
        "created": now(),
        "edgesr_version": __version__,
        "command": list(command),
        "request": dict(request),
        "emulated": bool(device.get("emulated")),
        "host": dict(host),
        "device": dict(device),
        "runner": dict(runner),
        "settings": {**asdict(settings), "cpus": list(settings.cpus)},
        "cases": [],
        "reasons": [],
    }


def new_case(case: Case, settings: Settings) -> dict[str, Any]:
    """Return a case without launches."""
    return {
        "id": case.id,
        "model": case.model.document(),
        "backend": {
            "requested": case.backend.name,
            "kind": case.backend.kind,
            "options": list(settings.delegate_options),
            "threads": case.threads,
            "cpus": list(settings.cpus),
        },
        "launches": [],
        "summary": summarize([], kind=case.backend.kind),
    }


def launch_document(  # noqa: PLR0913 - one argument a part of the stored launch
    outcome: Outcome,
    *,
    purpose: str,
    number: int,
    start: str,
    argv: Sequence[str],
    before: State,
    reasons: Sequence[str],
    throttled: Sequence[str],
    waited_s: float,
    host_s: float,
    log: str | None,
    refused: Sequence[str] = (),
) -> dict[str, Any]:
    """Return one launch as it is stored.

    Args:
        outcome: what it gave.
        purpose: time, memory or profile.
        number: of the launch.
        start: when it began, UTC.
        argv: command line on the phone.
        before: state of the phone before it.
        reasons: why its number is not valid; empty when it is.
        throttled: signs of heat.
        waited_s: seconds that the phone was given to cool.
        host_s: seconds since the launch before, less ``waited_s``, by this computer's clock.
        log: path of the raw log, relative to the result.
        refused: operators that the accelerator does not take, as the linter predicts.
    """
    code, error = outcome.exit_code, outcome.error
    latency = outcome.latency
    delegation = asdict(outcome.delegation)
    if refused and outcome.delegation.status in {"partial", "none"}:
        delegation["refused"] = list(refused)
    delegation["refused"] = list(delegation["refused"])
    memory = {name: outcome.memory_mb.get(name) for name in ("init", "overall", "peak")}
    elapsed = outcome.elapsed_s
    return {
        "purpose": purpose,
        "number": number,
        "start": start,
        "argv": list(argv),
        "exit_code": code,
        "signal": code - 128 if code is not None and 128 < code < 192 else None,  # noqa: PLR2004
        "elapsed_s": elapsed,
        "overhead_s": None if elapsed is None else max(host_s - elapsed, 0.0),
        "waited_s": waited_s,
        "init_us": outcome.init_us,
        "first_us": outcome.first_us,
        "warmup": {"n": outcome.warmup_n, "avg_us": outcome.warmup_avg_us},
        "latency": None
        if latency is None
        else {
            "n": latency.n,
            **{name: getattr(latency, name) for name in TIMES},
            "unit": "us",
            "source": latency.source,
        },
        "samples_us": list(latency.samples) if latency and latency.samples else None,
        "memory_mb": memory,
        "delegation": {**delegation, "text": outcome.delegation.text()},
        "accelerators": list(outcome.accelerators),
        "engine": outcome.engine,
        "before": before.document(),
        "after": outcome.after.document(),
        "throttled": bool(throttled),
        "valid": latency is not None and not reasons,
        "reasons": list(reasons),
        "error": None
        if error is None
        else {"kind": type(error).__name__, "code": error.exit_code, "message": str(error)},
        "log": log,
    }


def summarize(launches: Sequence[Mapping[str, Any]], *, kind: str) -> dict[str, Any]:
    """Return the numbers of a case: medians over launches, and the range of their medians.

    Launches that are not valid count only where no valid one is.
    """
    timed = [one for one in launches if one["purpose"] == "time"]
    measured = [one for one in timed if one["latency"] is not None]
    used = [one for one in measured if one["valid"]] or measured
    medians = _present(used, "p50")
    peaks = [one["memory_mb"]["peak"] for one in launches if one["memory_mb"]["peak"] is not None]
    reasons = dict.fromkeys(reason for one in timed for reason in one["reasons"])
    found = {name: _median(_present(used, name)) for name in ("avg", "p5", "p90", "p95", "p99")}
    lowest = _present(used, "min")
    worst = max((one["delegation"] for one in measured), key=_badness, default=None)
    return {
        "p50_us": _median(medians),
        "p50_range": [min(medians), max(medians)] if medians else None,
        **{f"{name}_us": value for name, value in found.items()},
        "slowdown": slowdown(medians),
        "min_us": min(lowest) if lowest else None,
        "init_us": _median([one["init_us"] for one in used if one["init_us"] is not None]),
        "peak_mb": max(peaks) if peaks else None,
        "launches": len(used),
        "failed": len(timed) - len(measured),
        "valid": bool(used) and all(one["valid"] for one in timed),
        "ran_on": None if worst is None else worst["text"],
        "verdict": _verdict(timed, worst, kind, slowdown(medians)),
        "reasons": list(reasons),
    }


def read_result(path: Path) -> dict[str, Any]:
    """Read a result and check it against the schema.

    Raises:
        DataError: the file is missing, no JSON, or does not fit the schema.
        ModuleNotFoundError: ``fastjsonschema``, of edgesr[device], is not installed.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error}); measure again") from error
    validate(document, str(path))
    content: dict[str, Any] = document
    return content


def validate(document: Any, name: str) -> None:
    """Check a result against the schema.

    Raises:
        DataError: it does not fit.
        ModuleNotFoundError: ``fastjsonschema``, of edgesr[device], is not installed.
    """
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise DataError(
            f"{name}: schema is {found!r}, want {SCHEMA!r}; give a result of device bench"
        )
    import fastjsonschema

    try:
        _validator()(document)
    except fastjsonschema.JsonSchemaException as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{name}: does not fit {SCHEMA} ({reason.replace('data.', '')}); measure again"
        ) from error


@cache
def _validator() -> Any:
    import fastjsonschema

    return fastjsonschema.compile(json.loads(schema_text()))


def schema_text() -> str:
    """Return the JSON Schema of results."""
    return files("edgesr.android").joinpath("bench.schema.json").read_text(encoding="utf-8")


def without_serials(command: Sequence[str], serials: Sequence[str]) -> list[str]:
    """Return a command line in which every serial number is ``SERIAL``."""
    pattern = "|".join(map(re.escape, filter(None, serials)))
    return [re.sub(pattern, "SERIAL", word) if pattern else word for word in command]


def now() -> str:
    """Return this moment in UTC, such as ``2026-11-21T13:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _present(launches: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [one["latency"][name] for one in launches if one["latency"][name] is not None]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


_ORDER = ("full", "unknown", "partial", "none")


def _badness(delegation: Mapping[str, Any]) -> int:
    return _ORDER.index(delegation["status"])


def _verdict(
    timed: Sequence[Mapping[str, Any]],
    worst: Mapping[str, Any] | None,
    kind: str,
    growth: float | None,
) -> str:
    """Return what a reader must not miss, in a few words."""
    if worst is None:
        kinds = dict.fromkeys(one["error"]["kind"] for one in timed if one["error"])
        return f"FAILED: {', '.join(kinds)}" if kinds else "not measured"
    words = []
    if kind != "cpu" and worst["status"] != "full":
        refused = ", ".join(worst["refused"])
        words.append(worst["status"].upper() + (f": {refused}" if refused else ""))
    if kind == "cpu" and worst["status"] == "none":
        words.append("NOT ON THE CPU")
    if any(one["throttled"] for one in timed):
        words.append("THROTTLED")
    if growth is not None and growth > SLOWER:
        words.append(f"SLOWED BY {growth - 1:.0%} OVER TIME")
    if any(reason.startswith("hot start") for one in timed for reason in one["reasons"]):
        words.append("HOT START")
    failed = sum(one["latency"] is None for one in timed)
    if failed:
        words.append(f"{failed} of {len(timed)} launches failed")
    return "; ".join(words) or "ok"
