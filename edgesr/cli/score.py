"""``edgesr score``: your results under a challenge's rules, among the published ones."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgesr.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from edgesr.bench.baselines import Baseline
    from edgesr.bench.fair_play import Entry
    from edgesr.bench.rules import Rule
    from edgesr.bench.score import Standing

_LARGE = 1000


def score(
    results: Path | None = None,
    *,
    rules: str,
    baselines: bool = True,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Score and rank results under a challenge's rules, among the published ones.

    Args:
        results: TOML or JSON file with your `entries`; default is the published table alone.
        rules: mai21, mai22, ntire22 to ntire26, or ntire26-mobile.
        baselines: show the published entries too.
        json: print one JSON document instead of a table.
    """
    from edgesr.bench.baselines import load_baselines, unknown_facts
    from edgesr.bench.fair_play import read_entries
    from edgesr.bench.rules import load_rule
    from edgesr.bench.score import standings, to_json
    from edgesr.cli.console import out

    rule = load_rule(rules)
    own = () if results is None else _with_facts(read_entries(results), rule, results.parent)
    result = standings(rule, own, load_baselines(rule.baselines))
    shown = [one for one in result if one.own or baselines]
    if json:
        unknown = list(unknown_facts(rule.baselines))
        out.print_json(data={**to_json(rule, shown), "unknown": unknown})
    else:
        out.print(_table(rule, shown))
        for line in (*_remarks(shown), *rule.notes, *unknown_facts(rule.baselines)):
            out.print(line, markup=False, soft_wrap=True)
    refused = [f"{one.row.name}: {one.problems[0]}" for one in result if one.own and one.problems]
    if refused:
        raise GateError(f"{'; '.join(refused)}; not ranked under {rule.name}")


def _with_facts(entries: "Sequence[Entry]", rule: "Rule", folder: Path) -> "tuple[Entry, ...]":
    """Build and count the networks that entries name."""
    if all(entry.claims.factory is None for entry in entries):
        return tuple(entries)
    from edgesr.bench.network_facts import load_factory, network_facts

    pixels = rule.counted_pixels or 256 * 256
    return tuple(
        entry
        if entry.claims.factory is None
        else replace(
            entry, facts=network_facts(load_factory(entry.claims.factory, folder), pixels=pixels)
        )
        for entry in entries
    )


def _table(rule: "Rule", shown: "Sequence[Standing]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from edgesr.bench.baselines import MEASURES

    used = {"psnr", "ssim", *(floor.measure for floor in rule.floors)}
    used |= {measure for track in rule.tracks for measure in track.needs}
    columns = [m for m in MEASURES if m in used and any(x.row.value(m) is not None for x in shown)]
    main, *others = rule.tracks
    table = Table(title=rule.title)
    for heading in ("#", "entry", "score"):
        table.add_column(heading, justify="left" if heading == "entry" else "right", no_wrap=True)
    for track in others:
        table.add_column(f"# {track.name}", justify="right")
    for measure in columns:
        table.add_column(MEASURES[measure].title, justify="right")
    table.add_column("evidence")
    for one in shown:
        value = one.placings[main.name].score
        mark = " *" if one.findings or one.below else ""
        table.add_row(
            str(one.placings[main.name].rank or "-"),
            Text(f"{one.row.name}{mark}"),
            "-" if value is None else f"{value:.2f}" if value < _LARGE else f"{value:.3g}",
            *(str(one.placings[track.name].rank or "-") for track in others),
            *(_cell(one.row, measure) for measure in columns),
            one.row.evidence,
            style="bold" if one.own else "",
        )
    return table


def _cell(row: "Baseline", measure: str) -> str:
    from edgesr.bench.baselines import MEASURES

    value = row.value(measure)
    return "-" if value is None else f"{value:.{MEASURES[measure].digits}f}"


def _remarks(shown: "Sequence[Standing]") -> list[str]:
    return [
        f"* {one.row.name}: {text}"
        for one in shown
        for text in (*one.below, *(finding.message for finding in one.findings))
    ]
