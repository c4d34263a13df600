"""Two results of ``edgesr bench`` against each other, from two runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesr.bench.results import BENCH_SCHEMA, read_document, timings_of
from edgesr.bench.verdict import Kind, Ratio, judge_apart
from edgesr.errors import DataError

SCHEMA = "edgesr/bench-comparison/1"
_SAME = ("what", "shape", "threads")
_TELLING = ("cpu", "cpu_flags", "cores", "usable_cores", "governor", "system", "python", "packages")
_BUSY = 1.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """One contender in both results.

    Attributes:
        name: contender.
        before_ms: median in the first result.
        after_ms: median in the second.
        ratio: after over before, with the interval that both medians' intervals allow.
        verdict: what may be said about the second against the first.
        psnr_drop: loss of PSNR from the first to the second in dB, where both measured quality.
    """

    name: str
    before_ms: float
    after_ms: float
    ratio: Ratio
    verdict: Kind
    psnr_drop: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two results say about each other.

    Attributes:
        changes: contenders in both.
        only: contenders in one of them.
        notes: why the comparison is weak: other machines, other versions, load.
    """

    changes: tuple[Change, ...]
    only: tuple[str, ...]
    notes: tuple[str, ...]


def compare_files(before: Path, after: Path) -> Comparison:
    """Compare two results of ``edgesr bench --json``.

    Raises:
        DataError: a file is damaged, or the two are of different schema, protocol, shape or
            threads, or have no contender in common.
    """
    documents = [read_document(path, {BENCH_SCHEMA}) for path in (before, after)]
    _check_same(documents[0], documents[1], before, after)
    first, second = (
        timings_of(document, path)
        for document, path in zip(documents, (before, after), strict=True)
    )
    common = [name for name in first if name in second]
    if not common:
        raise DataError(
            f"{before} and {after}: no contender in common ({', '.join(first) or 'none'}; "
            f"{', '.join(second) or 'none'}); measure the same models"
        )
    quality = [_psnr(document) for document in documents]
    changes = []
    for name in common:
        a, b = first[name], second[name]
        drifted = a.drift.significant or b.drift.significant
        change, verdict = judge_apart(b.wall_ms, a.wall_ms, drifted=drifted)
        drops = [psnr.get(name) for psnr in quality]
        changes.append(
            Change(
                name=name,
                before_ms=a.median_ms,
                after_ms=b.median_ms,
                ratio=change,
                verdict=verdict,
                psnr_drop=None if None in drops else drops[0] - drops[1],  # type: ignore[operator]
            )
        )
    return Comparison(
        changes=tuple(changes),
        only=tuple(sorted(first.keys() ^ second.keys())),
        notes=_notes(documents[0].get("environment"), documents[1].get("environment")),
    )


def comparison_document(comparison: Comparison, before: Path, after: Path) -> dict[str, Any]:
    """Return ``comparison`` as JSON values."""
    return {
        "schema": SCHEMA,
        "before": str(before),
        "after": str(after),
        "changes": [asdict(change) for change in comparison.changes],
        "only_in_one": list(comparison.only),
        "notes": list(comparison.notes),
    }


def _check_same(
    first: Mapping[str, Any], second: Mapping[str, Any], before: Path, after: Path
) -> None:
    for key in _SAME:
        _want_equal(key, first.get(key), second.get(key), before, after)
    suites = [document.get("suite") or {} for document in (first, second)]
    for key in ("name", "protocol", "scale", "dataset"):
        _want_equal(f"suite {key}", suites[0].get(key), suites[1].get(key), before, after)


def _want_equal(what: str, first: object, second: object, before: Path, after: Path) -> None:
    if first != second:
        raise DataError(
            f"cannot compare {before} ({what} {first}) with {after} ({what} {second}); measure "
            f"both with the same {what}"
        )


def _psnr(document: Mapping[str, Any]) -> dict[str, float]:
    protocol = (document.get("suite") or {}).get("protocol")
    found = {}
    for evaluation in document.get("evaluations") or ():
        psnr = evaluation.get("mean", {}).get(protocol, {}).get("psnr")
        if psnr is not None:
            found[str(evaluation["upscaler"])] = float(psnr)
    return found


def _notes(first: Any, second: Any) -> tuple[str, ...]:
    if not isinstance(first, dict) or not isinstance(second, dict):
        return ("a result does not say which machine it comes from",)
    notes = [
        f"{key} differs: {_text(first.get(key))} before, {_text(second.get(key))} after"
        for key in _TELLING
        if first.get(key) != second.get(key)
    ]
    for when, facts in (("before", first), ("after", second)):
        load, cores = facts.get("load_1min"), facts.get("cores") or 1
        if isinstance(load, (int, float)) and load > _BUSY * cores:
            notes.append(f"the machine was busy {when}: load {load:g} on {cores} cores")
    return tuple(notes)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {found}" for key, found in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
