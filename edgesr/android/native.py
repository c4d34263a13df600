"""Read what edgesr's own runner prints: one JSON object with every latency."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from edgesr.errors import DataError

_KIB = 1024.0


@dataclass(frozen=True, kw_only=True)
class NativeRun:
    """One run of the runner.

    Attributes:
        samples_us: latency of every counted inference, in order.
        warmup_us: of the uncounted ones.
        init_us: loading and compiling; None where not told.
        full: the accelerator runs the whole graph; None where not told.
        peak_mb: highest memory in MiB; None where not told.
        engine: library that ran the graph, with its version where it tells.
        error: what the runner could not do; None when it ended well.
    """

    samples_us: tuple[float, ...]
    warmup_us: tuple[float, ...]
    init_us: float | None
    full: bool | None
    peak_mb: float | None
    engine: str
    error: str | None


def parse_native(text: str) -> NativeRun:
    """Find and read the JSON object in the runner's output; libraries may have printed around it.

    Raises:
        DataError: there is none, or it lacks the latencies.
    """
    found = None
    for line in text.splitlines():
        place = line.find("{")
        if place < 0:
            continue
        try:
            value = json.loads(line[place:])
        except ValueError:
            continue
        if isinstance(value, dict) and ("samples_us" in value or "error" in value):
            found = value
    if found is None:
        raise DataError(
            f"the runner's output has no result ({' '.join(text.split())[-200:] or 'it is empty'});"
            " look at the log"
        )
    if "error" in found:
        return _run(found, error=_told(found))
    samples = found["samples_us"]
    if not isinstance(samples, list) or not samples or not all(map(_is_time, samples)):
        raise DataError("the runner's latencies are not all positive numbers; run it again")
    return _run(found, error=None)


def _run(found: Mapping[str, Any], *, error: str | None) -> NativeRun:
    full = found.get("fully_accelerated")
    init, peak = found.get("init_us"), found.get("peak_kib")
    return NativeRun(
        samples_us=tuple(found.get("samples_us") or ()),
        warmup_us=tuple(found.get("warmup_us") or ()),
        init_us=init if _is_time(init) else None,
        full=None if full is None else bool(full),
        peak_mb=peak / _KIB if _is_time(peak) else None,
        engine=f"{found.get('engine')} {found.get('engine_version') or ''}".strip(),
        error=error,
    )


def _told(found: Mapping[str, Any]) -> str:
    detail, status = found.get("detail"), found.get("status")
    told = str(found["error"]) + (f": {detail}" if detail else "")
    return (told + (f" (status {status})" if status else ""))[:300]


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
