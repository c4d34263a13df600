"""The JSON documents that measurements are kept in: written here, and read back with checks."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from edgesr.bench.environment import environment
from edgesr.bench.memory import Memory
from edgesr.bench.profile import OperatorTime
from edgesr.bench.runtime import Contender
from edgesr.bench.timing import Session, Timing, ratio
from edgesr.bench.verdict import judge
from edgesr.errors import DataError
from edgesr.files import sha256_file

BENCH_SCHEMA = "edgesr/bench/1"


def bench_document(  # noqa: PLR0913 - one parameter a part of the document
    session: Session,
    *,
    what: str,
    shape: str | None,
    threads: Sequence[int],
    contenders: Sequence[Contender] = (),
    memory: Mapping[str, Memory] | None = None,
    profiles: Mapping[str, Sequence[OperatorTime]] | None = None,
) -> dict[str, Any]:
    """Return a run as JSON values: every repetition, its summary, and the environment.

    Args:
        session: the timings.
        what: ``inference``, ``training step`` or ``denoising step``.
        shape: ``HEIGHTxWIDTH`` of the input; None for training.
        threads: CPU threads.
        contenders: what the timings' names stand for.
        memory: by name.
        profiles: time by operator, by name.
    """
    about = {contender.name: contender for contender in contenders}
    first = session.timings[0] if session.timings else None
    return {
        "schema": BENCH_SCHEMA,
        "what": what,
        "shape": shape,
        "threads": threads[0] if len(threads) == 1 else list(threads),
        "environment": environment(),
        "overhead": round(session.overhead, 6),
        "timings": [
            _timing(
                timing,
                first,
                about.get(timing.name),
                (memory or {}).get(timing.name),
                (profiles or {}).get(timing.name),
            )
            for timing in session.timings
        ],
        "failures": [asdict(failure) for failure in session.failures],
    }


def read_document(path: Path, schemas: Collection[str] = ()) -> dict[str, Any]:
    """Return the JSON document in ``path``.

    Args:
        path: file.
        schemas: those that are accepted; none accepts all of edgesr's.

    Raises:
        DataError: the file is missing, no JSON, holds NaN, or is of another schema.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error}); measure again") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    wanted = " or ".join(sorted(schemas)) or "edgesr/..."
    if not isinstance(schema, str) or not schema.startswith("edgesr/"):
        raise DataError(f"{path}: has no schema of edgesr, want {wanted}; give a --json result")
    if schemas and schema not in schemas:
        raise DataError(f"{path}: is {schema}, want {wanted}; give a result of that kind")
    content: dict[str, Any] = document
    return content


def timings_of(document: Mapping[str, Any], path: Path | str) -> dict[str, Timing]:
    """Return the timings in a ``bench`` document by name.

    Raises:
        DataError: entries are missing or no positive numbers.
    """
    found = {}
    try:
        for entry in document["timings"]:
            timing = Timing(
                name=str(entry["name"]),
                wall_ms=tuple(float(value) for value in entry["wall_ms"]),
                cpu_ms=tuple(float(value) for value in entry["cpu_ms"]),
            )
            if not timing.wall_ms or min(timing.wall_ms) <= 0:
                raise DataError(f"{path}: {timing.name} has no positive times; measure again")
            found[timing.name] = timing
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: its timings are damaged ({error!r}); measure again") from error
    return found


def _timing(
    timing: Timing,
    first: Timing | None,
    contender: Contender | None,
    memory: Memory | None,
    profile: Sequence[OperatorTime] | None,
) -> dict[str, Any]:
    against = ratio(timing, first) if first is not None else None
    drift = timing.drift
    return {
        "name": timing.name,
        **({} if contender is None else _about(contender)),
        "median_ms": timing.median_ms,
        "p5_ms": timing.p5_ms,
        "p90_ms": timing.p90_ms,
        "min_ms": timing.min_ms,
        "iqr_ms": timing.iqr_ms,
        "drift": asdict(drift),
        "ratio": None if against is None else {**asdict(against), "verdict": judge(against)},
        "memory": None if memory is None else asdict(memory),
        "operators": None if profile is None else [asdict(operator) for operator in profile],
        "wall_ms": list(timing.wall_ms),
        "cpu_ms": list(timing.cpu_ms),
    }


def _about(contender: Contender) -> dict[str, Any]:
    facts: dict[str, Any] = {"runtime": contender.runtime, "threads": contender.threads}
    if isinstance(contender.source, bytes):
        return {**facts, "file": None, "bytes": len(contender.source), "sha256": None}
    if not contender.source.is_file():
        return {**facts, "file": str(contender.source), "bytes": None, "sha256": None}
    return {
        **facts,
        "file": str(contender.source),
        "bytes": contender.source.stat().st_size,
        "sha256": sha256_file(contender.source),
    }


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}")
