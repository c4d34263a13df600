"""The tables of results as plain rows, for the terminal, Markdown and HTML alike."""

from collections.abc import Mapping
from typing import Any

NONE = "-"
HEAD = (
    "model",
    "backend",
    "threads",
    "p50 ms",
    "launches",
    "p90 ms",
    "p95 ms",
    "min ms",
    "init ms",
    "peak MB",
    "ran on",
    "verdict",
)
TEXT = frozenset({0, 1, 4, 10, 11})
"""Numbers of the columns that hold words."""


def title(document: Mapping[str, Any]) -> str:
    """Return the line that says what was measured on, how warm it was, and with what."""
    device, runner = document["device"], document["runner"]
    android = f"Android {device['android']} (API {device['api']})" if device["android"] else None
    parts = [
        "EMULATED, times mean nothing" if document["emulated"] else None,
        device["model"],
        device["soc"],
        android,
        _heat(document),
        _runner(runner),
    ]
    return " · ".join(part for part in parts if part)


def rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return one row a case; unknown numbers are dashes."""
    return [_row(case) for case in document["cases"]]


def notes(document: Mapping[str, Any]) -> list[str]:
    """Return the sentences that a reader of the table needs."""
    found = list(document["reasons"])
    cases = document["cases"]
    if any(case["backend"]["kind"] == "gpu" for case in cases):
        found.append("gpu: int8 files are computed in fp16 or fp32 there")
    if any(case["backend"]["kind"] == "nnapi" for case in cases):
        found.append("nnapi: deprecated since Android 15, see docs/device.md")
    if any(case["summary"]["p50_us"] is None and case["summary"]["avg_us"] for case in cases):
        found.append("avg: this runner prints no median")
    if document["runner"]["experimental"]:
        found.append("edgesr's own runner is experimental")
    for case in cases:
        errors = [one["error"]["message"] for one in case["launches"] if one["error"]]
        found += dict.fromkeys(errors)
        if not errors and case["summary"]["reasons"]:
            found.append(f"{case['id']}: {'; '.join(case['summary']['reasons'][:4])}")
    return found


def milli(value: float | None) -> str:
    """Return microseconds as milliseconds with three digits or more."""
    if value is None:
        return NONE
    return f"{value / 1e3:.3f}" if value < 1e4 else f"{value / 1e3:.1f}"  # noqa: PLR2004 - 10 ms


def _row(case: Mapping[str, Any]) -> tuple[str, ...]:
    summary, backend = case["summary"], case["backend"]
    centre = milli(summary["p50_us"])
    if summary["p50_us"] is None and summary["avg_us"] is not None:
        centre = f"{milli(summary['avg_us'])} avg"
    span = summary["p50_range"]
    told = f"{summary['launches']}"
    if span is not None and summary["launches"] > 1:
        told += f": {milli(span[0])} to {milli(span[1])}"
    peak = summary["peak_mb"]
    return (
        case["model"]["name"],
        backend["requested"],
        str(backend["threads"]),
        centre,
        told,
        milli(summary["p90_us"]),
        milli(summary["p95_us"]),
        milli(summary["min_us"]),
        milli(summary["init_us"]),
        NONE if peak is None else f"{peak:.0f}",
        summary["ran_on"] or NONE,
        summary["verdict"],
    )


def _heat(document: Mapping[str, Any]) -> str | None:
    launches = [one for case in document["cases"] for one in case["launches"]]
    launches.sort(key=lambda one: one["start"])
    if not launches:
        return None
    ends = [launches[0]["before"], launches[-1]["after"]]
    status = max(one["after"]["thermal_status"] or 0 for one in launches)
    known = any(one["after"]["thermal_status"] is not None for one in launches)
    celsius = [one["reference_celsius"] for one in ends]
    parts = []
    if None not in celsius:
        parts.append(f"{celsius[0]:.1f}→{celsius[1]:.1f} °C")
    if known:
        parts.append(f"thermal {status or 'none'}")
    return " · ".join(parts) or None


def _runner(runner: Mapping[str, Any]) -> str:
    version = f" {runner['version']}" if runner["version"] else ""
    sha = f" (sha {runner['sha256'][:8]}…)" if runner["sha256"] else ""
    return f"runner {runner['flavour']}{version}{sha}"
