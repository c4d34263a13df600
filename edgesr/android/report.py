"""Results as Markdown, as CSV, and as one HTML file: no script, no network, light and dark."""

import csv
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from edgesr.android import rows
from edgesr.android.document import TIMES

_COLUMNS = (
    "device",
    "soc",
    "emulated",
    "case",
    "model_sha256",
    "backend",
    "threads",
    "purpose",
    "launch",
    "start",
    "exit_code",
    "n",
    "source",
    "init_us",
    "first_us",
    "peak_mb",
    "delegation",
    "nodes",
    "of",
    "partitions",
    "status_after",
    "celsius_before",
    "celsius_after",
    "overhead_s",
    "throttled",
    "valid",
    "reasons",
)
_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1a1d21;--soft:#565d66;--line:#d4d9df;
--panel:#f5f7f9;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--back:#14171a;--text:#e7eaed;--soft:#a9b1ba;
--line:#3a4149;--panel:#1d2125;--bad:#ff8a80}}
body{margin:0 auto;max-width:1180px;padding:20px;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h2{font-size:1.1rem;margin:2rem 0 .5rem}
.wide{overflow:auto;border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.36rem .7rem;text-align:right;border-top:1px solid var(--line)}
thead th{background:var(--panel);white-space:nowrap}
.text{text-align:left}.bad{color:var(--bad);font-weight:600}
.note,li{color:var(--soft);font-size:.875rem}.curve{width:100%;max-width:620px;height:auto}
.curve polyline{fill:none;stroke:currentColor;stroke-width:1.5}
.curve text{font-size:11px;fill:var(--soft)}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_LEAST_POINTS = 5
_WIDTH, _HEIGHT, _EDGE = 620, 120, 22


def markdown(documents: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Return one section a result."""
    parts = [f"# {_cell(title)}"]
    for document in documents:
        parts += ["", f"## {_cell(rows.title(document))}", "", _line(rows.HEAD)]
        rule = ["---" if place in rows.TEXT else "---:" for place in range(len(rows.HEAD))]
        parts.append(_line(rule))
        parts += [_line(row) for row in rows.rows(document)]
        notes = rows.notes(document)
        parts += ["", *(f"- {_cell(note)}" for note in notes)] if notes else []
    return "\n".join(parts) + "\n"


def html_page(documents: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Return the whole page; sustained cases are drawn over time."""
    body = "".join(map(_section, documents))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def comma_separated(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return one line a launch."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    times = [f"{name}_us" for name in TIMES]
    writer.writerow((*_COLUMNS[:12], *times, *_COLUMNS[12:]))
    for document in documents:
        device = document["device"]
        for case in document["cases"]:
            for one in case["launches"]:
                latency = one["latency"] or {}
                told = one["delegation"]
                row = [device["model"], device["soc"], document["emulated"], case["id"]]
                row += [case["model"]["sha256"], case["backend"]["requested"]]
                row += [case["backend"]["threads"], one["purpose"], one["number"], one["start"]]
                row += [one["exit_code"], latency.get("n")]
                row += [latency.get(name) for name in TIMES]
                row += [latency.get("source"), one["init_us"], one["first_us"]]
                row += [one["memory_mb"]["peak"], told["status"], told["nodes"], told["of"]]
                row += [told["partitions"], one["after"]["thermal_status"]]
                row += [one["before"]["reference_celsius"], one["after"]["reference_celsius"]]
                row += [one["overhead_s"], one["throttled"], one["valid"]]
                row.append("; ".join(one["reasons"]))
                writer.writerow(["" if cell is None else cell for cell in row])
    return stream.getvalue()


def _section(document: Mapping[str, Any]) -> str:
    head = "".join(_tag("th", cell, place) for place, cell in enumerate(rows.HEAD))
    body = "".join(
        "<tr>" + "".join(_tag("td", cell, place) for place, cell in enumerate(row)) + "</tr>"
        for row in rows.rows(document)
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in rows.notes(document))
    curves = "".join(map(_curve, document["cases"]))
    return (
        f'<section><h2>{escape(rows.title(document))}</h2><div class="wide" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"<ul>{notes}</ul>{curves}</section>"
    )


def _tag(kind: str, cell: str, place: int) -> str:
    bad = place == len(rows.HEAD) - 1 and cell not in {"ok", rows.HEAD[-1]}
    names = [name for name, on in (("text", place in rows.TEXT), ("bad", bad)) if on]
    marked = f' class="{" ".join(names)}"' if names else ""
    return f"<{kind}{marked}>{escape(cell)}</{kind}>"


def _curve(case: Mapping[str, Any]) -> str:
    """Draw the median of each launch in order, where there are enough of them."""
    timed = [one for one in case["launches"] if one["purpose"] == "time" and one["latency"]]
    values = [one["latency"]["p50"] for one in timed if one["latency"]["p50"]]
    if len(values) < _LEAST_POINTS:
        return ""
    top = max(values)
    step = (_WIDTH - 2 * _EDGE) / (len(values) - 1)
    points = " ".join(
        f"{_EDGE + place * step:.1f},{_HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * value / top:.1f}"
        for place, value in enumerate(values)
    )
    label = f"{case['id']}: median of each of {len(values)} launches, highest {rows.milli(top)} ms"
    return (
        f'<figure><svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}"><polyline points="{points}"/></svg>'
        f'<figcaption class="note">{escape(label)}</figcaption></figure>'
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
