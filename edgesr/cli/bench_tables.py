"""What ``edgesr bench`` prints for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from edgesr.bench.compare import Comparison
from edgesr.bench.results import timings_of
from edgesr.bench.timing import Timing, ratio
from edgesr.bench.verdict import judge
from edgesr.cli.console import out, say

_OVERHEAD_LIMIT = 0.02
_MAIN = ("median ms", "time ratio (99 % conf.)")
_LEAST_NAME = 18
_UNBOUNDED = 1000


def show(document: Mapping[str, Any], *, samples: int | None) -> None:
    """Print the tables of a ``bench`` document, and on stderr what weakens it.

    Args:
        document: the result.
        samples: images a repetition handles; None for one.
    """
    timings = list(timings_of(document, "result").values())
    entries = {entry["name"]: entry for entry in document["timings"]}
    if timings:
        is_step = document["what"] == "denoising step"
        columns = _columns(timings, entries, samples, is_step=is_step)
        for table in _tables(columns, [one.name for one in timings], out.width):
            out.print(table)
        out.print(winner_line(timings), markup=False, soft_wrap=True)
    for name, entry in entries.items():
        if entry["operators"]:
            out.print(_operators(name, entry["operators"]))
    if "placement" in document:
        out.print(_placement(document["placement"], document["suite"]))
        published = [row["source"] for row in document["placement"] if not row["ours"]]
        for source in dict.fromkeys(published):
            out.print(f"published: {source}", markup=False, soft_wrap=True)
    out.print(_about(document, timings, samples), markup=False, soft_wrap=True)
    for line in _doubts(document, timings):
        say(line)


def _doubts(document: Mapping[str, Any], timings: list[Timing]) -> list[str]:
    """Return what weakens the numbers."""
    lines = [f"note: {note}" for note in document.get("notes", ())]
    lines += [f"failed: {one['name']}: {one['reason']}" for one in document["failures"]]
    lines += [
        f"drift: {timing.name} changed by {timing.drift.relative:+.0%} during the run"
        for timing in timings
        if timing.drift.significant
    ]
    if document["overhead"] > _OVERHEAD_LIMIT:
        took = f"the harness took {document['overhead']:.1%} of the time"
        lines.append(f"{took}; use a larger --shape")
    return lines


def show_comparison(comparison: Comparison, before: Path, after: Path) -> None:
    """Print what changed between two results."""
    table = Table(title=Text(f"{after} against {before}"))
    table.add_column("contender", overflow="fold")
    for title in ("before ms", "after ms", "ratio (99 % confidence)", "PSNR drop dB", "verdict"):
        table.add_column(title, justify="right")
    for change in comparison.changes:
        found = change.ratio
        table.add_row(
            Text(change.name),
            f"{change.before_ms:.2f}",
            f"{change.after_ms:.2f}",
            f"{found.median:.2f} ({found.low:.2f}-{found.high:.2f})",
            "-" if change.psnr_drop is None else f"{change.psnr_drop:+.3f}",
            change.verdict,
        )
    out.print(table)
    for name in comparison.only:
        say(f"only in one of them: {name}")
    for note in comparison.notes:
        say(f"note: {note}")


def winner_line(timings: list[Timing]) -> str:
    """Say who is fastest, or why nobody is."""
    best = min(timings, key=lambda timing: timing.median_ms)
    others = [timing for timing in timings if timing is not best]
    if not others:
        return f"{best.name}: nothing to compare with"
    verdicts = {other.name: judge(ratio(other, best)) for other in others}
    unclear = [name for name, verdict in verdicts.items() if verdict != "slower"]
    if not unclear:
        return f"fastest: {best.name}"
    if "too few repetitions" in verdicts.values():
        return "no winner: too few repetitions for one; use --repeats 8 or more"
    names = " and ".join([best.name, *unclear])
    return f"no winner: no difference between {names}; the spread is wider"


def _tables(columns: Mapping[str, list[str]], names: list[str], width: int) -> list[Table]:
    """Return one table, or where it is wider than ``width`` several, the ratios in the first."""
    if _width(columns, names) <= width:
        return [_table(columns, names)]
    parts: list[dict[str, list[str]]] = [{title: columns[title] for title in _MAIN}, {}]
    for title, cells in columns.items():
        if title in _MAIN:
            continue
        if parts[-1] and _width({**parts[-1], title: cells}, names) > width:
            parts.append({})
        parts[-1][title] = cells
    return [_table(part, names) for part in parts]


def _width(columns: Mapping[str, list[str]], names: list[str]) -> int:
    unbounded = out.options.update(width=_UNBOUNDED)
    return Measurement.get(out, unbounded, _table(columns, names)).maximum


def _table(columns: Mapping[str, list[str]], names: list[str]) -> Table:
    table = Table()
    table.add_column("contender", overflow="fold", min_width=_LEAST_NAME)
    for title in columns:
        table.add_column(title, justify="right")
    for name, *cells in zip(names, *columns.values(), strict=True):
        table.add_row(Text(name), *cells)
    return table


def _columns(
    timings: list[Timing], entries: Mapping[str, Any], samples: int | None, *, is_step: bool
) -> dict[str, list[str]]:
    """Return the cells of every column by its title, a cell a contender."""
    sampled = {name: cost for name, entry in entries.items() if (cost := _steps_of(entry))}
    found = {
        _MAIN[0]: [f"{one.median_ms:.2f}" for one in timings],
        "min": [f"{one.min_ms:.2f}" for one in timings],
        "p5-p90": [f"{one.p5_ms:.1f}-{one.p90_ms:.1f}" for one in timings],
        "CPU ms": [f"{min(one.cpu_ms):.2f}" for one in timings],
    }
    if not sampled:
        title = "samples/s" if samples else "images/s"
        found[title] = [f"{1e3 * (samples or 1) / one.median_ms:.1f}" for one in timings]
    if any(entry["memory"] for entry in entries.values()):
        found["memory MiB"] = [_memory(entries[one.name]["memory"]) for one in timings]
    if sampled:
        titles = ("steps", "ms all steps" if is_step else "ms a step", "GMAC a step, in all")
        rows = [_step_cells(one, sampled.get(one.name), is_step=is_step) for one in timings]
        found |= {title: [row[i] for row in rows] for i, title in enumerate(titles)}
    found[_MAIN[1]] = [_against(one, timings[0]) for one in timings]
    return found


def _against(timing: Timing, first: Timing) -> str:
    against = ratio(timing, first)
    verdict = "" if timing is first else f" {judge(against)}"
    return f"{against.median:.2f} ({against.low:.2f}-{against.high:.2f}){verdict}"


def _steps_of(entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the costs of what takes several steps; None of anything else."""
    cost = entry.get("cost")
    return cost if cost is not None and "num_steps" in cost else None


def _step_cells(timing: Timing, cost: Mapping[str, Any] | None, *, is_step: bool) -> list[str]:
    """Return steps, the time that was not measured but follows from them, and MACs."""
    if cost is None:
        return ["-"] * 3
    steps = cost["num_steps"]
    other = timing.median_ms * steps if is_step else timing.median_ms / steps
    if "macs" not in cost:
        return [str(steps), f"{other:.2f}", "-"]
    macs = ", ".join(f"{cost[key] / 1e9:.2f}" for key in ("macs", "total_macs"))
    return [str(steps), f"{other:.2f}", macs]


def _memory(memory: Mapping[str, float | None] | None) -> str:
    if memory is None:
        return "-"
    arena = memory["arena_mib"]
    return f"{memory['model_rss_mib']:.1f}" + ("" if arena is None else f", arena {arena:.1f}")


def _operators(name: str, operators: list[dict[str, Any]]) -> Table:
    table = Table(title=Text(f"{name}: time that each operator adds"))
    for title in ("#", "operator", "output"):
        table.add_column(title, overflow="fold")
    for title in ("median ms", "99 % confidence"):
        table.add_column(title, justify="right")
    for entry in operators:
        table.add_row(
            str(entry["index"]),
            entry["operator"],
            Text(entry["output"]),
            f"{entry['median_ms']:.3f}",
            f"{entry['low_ms']:.3f} to {entry['high_ms']:.3f}",
        )
    return table


def _placement(rows: list[dict[str, Any]], suite: Mapping[str, Any]) -> Table:
    table = Table(title=f"{suite['name']}: x{suite['scale']}, protocol {suite['protocol']}")
    table.add_column("#", justify="right")
    table.add_column("model", overflow="fold")
    for title in ("PSNR dB", "SSIM", "ms", "on", "evidence"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            "-" if row["place"] is None else str(row["place"]),
            Text(row["name"], style="bold" if row["ours"] else ""),
            _number(row["psnr"], ".3f"),
            _number(row["ssim"], ".4f"),
            _number(row["latency_ms"], ".1f"),
            Text(row["device"] or "-"),
            row["evidence"],
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _about(document: Mapping[str, Any], timings: list[Timing], samples: int | None) -> str:
    facts = document["environment"]
    versions = ", ".join(f"{name} {found}" for name, found in facts["packages"].items())
    what = f"batch {samples}, LR patch 64" if samples else f"input {document['shape']}"
    repeats = len(timings[0].wall_ms) if timings else 0
    return (
        f"{what}, {document['threads']} thread(s), {repeats} interleaved repetitions; "
        f"{facts['cpu']} ({facts['cores']} cores, load {facts['load_1min']}); {versions}"
    )
