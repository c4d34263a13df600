"""The report as one HTML file: no script, no network, light and dark by the reader's setting."""

from collections.abc import Callable, Sequence
from html import escape

from edgesr.bench import report_tables, report_text
from edgesr.bench.crops import SIDE, CropRow
from edgesr.bench.plots import Level, Point, scatter
from edgesr.bench.report_data import Model, ReportData
from edgesr.bench.report_tables import Sheet

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1a1d21;--soft:#565d66;--line:#d4d9df;
--panel:#f5f7f9;--ours:#0a58ca;--other:#9a4a00;--front:#0a58ca;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--back:#14171a;--text:#e7eaed;--soft:#a9b1ba;
--line:#3a4149;--panel:#1d2125;--ours:#79b8ff;--other:#f2b36b;--front:#79b8ff;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:28px}h1{font-size:1.75rem;line-height:1.2;margin:0 0 .4rem}
h2{font-size:1.25rem;margin:2.4rem 0 .6rem;padding-top:.4rem;border-top:1px solid var(--line)}
a{color:var(--ours)}a:focus-visible,.wide:focus-visible,summary:focus-visible{
outline:3px solid var(--ours);outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:12px;top:12px;background:var(--back);
padding:6px 10px;z-index:1}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;padding:0;margin:.6rem 0;list-style:none}
.lead{color:var(--soft);margin:0}
.failed{color:var(--bad);font-weight:600}
.wide{overflow:auto;border:1px solid var(--line);border-radius:6px;margin:.7rem 0 .3rem}
.tall{max-height:30rem}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.55rem .7rem;background:var(--panel)}
th,td{padding:.36rem .7rem;text-align:right;border-top:1px solid var(--line);vertical-align:top}
thead th{background:var(--panel);white-space:nowrap;position:sticky;top:0}
th.text,td.text{text-align:left}tbody th{font-weight:600;white-space:nowrap}
td.text{min-width:6rem;overflow-wrap:anywhere}
td.worst{color:var(--bad);font-weight:600}
.note{color:var(--soft);font-size:.875rem;margin:.2rem 0 1rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:18px}
figure{margin:0}.plots figure{background:var(--panel);border:1px solid var(--line);
border-radius:6px;padding:10px}
figcaption{font-size:.875rem;color:var(--soft)}.plots figcaption b{color:var(--text)}
.plot{width:100%;height:auto;display:block}
.plot text{fill:var(--text);font-size:12px}.plot .grid text{fill:var(--soft)}
.plot .grid line{stroke:var(--line)}.plot .axis{font-size:13px}
.plot circle.ours{fill:var(--ours)}.plot text.ours{font-weight:600}
.plot .label{stroke:var(--panel);stroke-width:3px;paint-order:stroke;stroke-linejoin:round}
.plot path.published{fill:var(--panel);stroke:var(--other);stroke-width:2}
.plot text.published{fill:var(--other)}
.plot .front{fill:none;stroke:var(--front);stroke-width:1.5;stroke-dasharray:5 4;opacity:.8}
.plot .level{stroke:var(--ours);stroke-width:1.5;stroke-dasharray:2 4}
.crops{display:flex;flex-wrap:wrap;gap:10px;margin:.5rem 0 1.4rem}
.crops figure{width:180px}.crops img{width:180px;height:180px;display:block;border-radius:4px;
image-rendering:pixelated;background:var(--panel)}
.crops figcaption{overflow-wrap:anywhere;line-height:1.3;margin-top:3px}
summary{cursor:pointer;font-weight:600;padding:.3rem 0}footer{padding-bottom:40px}
@media print{.wide{overflow:visible;max-height:none}details>*{display:block}}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_LONG = 25
_NEAR = 0.7
"""Decibels that bicubic may be below the worst model to be drawn; further down it dwarfs all."""


def html(
    report: ReportData, *, title: str, crops: Sequence[CropRow] = (), notes: Sequence[str] = ()
) -> str:
    """Return the whole page.

    Args:
        report: what the results say.
        title: of the page.
        crops: rows of pictures.
        notes: why pictures are missing.
    """
    sections: list[tuple[str, str, str]] = [
        ("models", "Models", _sheet(report_tables.summary(report))),
        ("pareto", "Quality against cost", _plots(report)),
        ("time", "Time", _sheet(report_tables.timings(report))),
        ("baselines", "Baselines", _sheet(report_tables.published(report))),
        ("images", "Images", _per_image(report)),
        ("crops", "Worst places", _crops(crops, notes)),
        ("operators", "Operators", _each(report, report_tables.operators)),
        ("certificates", "Export certificates", _each(report, report_tables.certificate)),
        ("environment", "Environment", "".join(map(_sheet, report_tables.environments(report)))),
    ]
    shown = [section for section in sections if section[2]]
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in shown)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{name}</h2>{text}</section>'
        for key, name, text in shown
    )
    count = max((len(i) for m in report.models for i in m.images.values()), default=0)
    lead = f"{len(report.models)} models, {count} images"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#content">Skip to the content</a>'
        f'<header><h1>{escape(title)}</h1><p class="lead">{lead}</p>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>{_remarks(report)}</header>'
        f'<main id="content">{body}</main>'
        '<footer><p class="note">Written by edgesr. This file needs no network and runs no '
        "script.</p></footer></body></html>\n"
    )


def _remarks(report: ReportData) -> str:
    lines = "".join(
        f"<li{' class=failed' if line.startswith('failed') else ''}>{escape(line)}</li>"
        for line in report_text.remarks(report)
    )
    return f'<ul class="note">{lines}</ul>' if lines else ""


def _sheet(sheet: Sheet | None, *, worst: bool = False) -> str:
    if sheet is None:
        return ""
    head = "".join(
        f'<th scope="col"{_kind(index, sheet)}>{escape(name)}</th>'
        for index, name in enumerate(sheet.head)
    )
    marked = _lowest(sheet) if worst else {}
    rows = []
    for line, (first, *rest) in enumerate(sheet.rows):
        cells = "".join(
            f'<td class="worst" title="lowest of this column">{escape(cell)}</td>'
            if marked.get(index) == line
            else f"<td{_kind(index, sheet)}>{escape(cell)}</td>"
            for index, cell in enumerate(rest, start=1)
        )
        rows.append(f'<tr><th scope="row" class="text">{escape(first)}</th>{cells}</tr>')
    tall = " tall" if len(sheet.rows) > _LONG else ""
    note = f'<p class="note">{escape(sheet.note)}</p>' if sheet.note else ""
    return (
        f'<div class="wide{tall}" tabindex="0" role="region" aria-label="{escape(sheet.title)}">'
        f"<table><caption>{escape(sheet.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


def _kind(index: int, sheet: Sheet) -> str:
    return ' class="text"' if index in sheet.text else ""


def _lowest(sheet: Sheet) -> dict[int, int]:
    """Return for each column of numbers the row of its smallest."""
    found = {}
    for index in range(1, len(sheet.head)):
        values = [
            (float(row[index]), line)
            for line, row in enumerate(sheet.rows)
            if row[index].replace(".", "", 1).replace("-", "", 1).isdigit()
        ]
        if values:
            found[index] = min(values)[1]
    return found


def _per_image(report: ReportData) -> str:
    text = _sheet(report_tables.per_image(report), worst=True)
    return (
        f'{text}<p class="note">The lowest value of a column is red and bold.</p>' if text else ""
    )


def _each(report: ReportData, make: Callable[[Model], Sheet | None]) -> str:
    sheets = [sheet for model in report.models if (sheet := make(model)) is not None]
    if len(sheets) == 1:
        return _sheet(sheets[0])
    return "".join(
        f"<details><summary>{escape(sheet.title)}</summary>{_sheet(sheet)}</details>"
        for sheet in sheets
    )


def _plots(report: ReportData) -> str:
    measured = [(m, q) for m in report.models if (q := m.psnr(report.protocol)) is not None]
    levels = [Level(label=m.label, y=q) for m, q in measured] if report.comparable else []
    bicubic = next((m.bicubic.get(report.protocol) for m, _ in measured), None)
    lowest = min((quality for _, quality in measured), default=0.0)
    near = bicubic is not None and bicubic > lowest - _NEAR
    floor = [Level(label="bicubic", y=bicubic)] if near and bicubic is not None else []
    size = ", ".join(report.shapes)
    panels = [
        (
            f"PSNR against time on this host{f', input {size}' if size else ''}",
            "median ms",
            [Point(label=m.label, x=m.latency_ms, y=q) for m, q in measured if m.latency_ms],
            floor,
        ),
        (
            "PSNR against file size",
            "KiB",
            [Point(label=m.label, x=m.bytes / 1024, y=q) for m, q in measured if m.bytes],
            floor,
        ),
        (
            "PSNR against multiply-accumulates",
            "GMACs",
            [Point(label=m.label, x=m.macs / 1e9, y=q) for m, q in measured if m.macs]
            + _published(report, "flops_g"),
            floor,
        ),
        (
            "PSNR against parameters",
            "thousand",
            [Point(label=m.label, x=m.params / 1e3, y=q) for m, q in measured if m.params]
            + _published(report, "params_m", 1e3),
            floor,
        ),
    ]
    for device in dict.fromkeys(row["device"] for row in report.baselines):
        rows = [row for row in report.baselines if row["device"] == device]
        points = _points(rows, "latency_ms")
        panels.append((f"PSNR against published time on {device}", "ms", points, levels))
    figures = [
        f"<figure>{_drawn(number, *panel, report)}<figcaption><b>{escape(panel[0])}.</b> "
        f"{_legend(panel[2], panel[3])}</figcaption></figure>"
        for number, panel in enumerate(panels)
        if panel[2]
    ]
    return f'<div class="plots">{"".join(figures)}</div>' if figures else ""


def _drawn(  # noqa: PLR0913, PLR0917 - a panel's parts
    number: int,
    title: str,
    x_title: str,
    points: list[Point],
    levels: list[Level],
    report: ReportData,
) -> str:
    return scatter(
        points,
        name=f"plot{number}",
        title=title,
        x_title=x_title,
        y_title=f"PSNR dB ({report.protocol})",
        levels=levels,
    )


def _legend(points: Sequence[Point], levels: Sequence[Level]) -> str:
    parts = []
    if any(point.ours for point in points):
        parts.append("● measured here")
    if any(not point.ours for point in points):
        parts.append("◇ published")
    if levels:
        parts.append("dotted lines: quality whose cost here is not known")
    return "; ".join([*parts, "dashed: Pareto front"])


def _published(report: ReportData, key: str, factor: float = 1.0) -> list[Point]:
    if not report.comparable:
        return []
    return _points(report.baselines, key, factor)


def _points(rows: Sequence[dict[str, object]], key: str, factor: float = 1.0) -> list[Point]:
    found = []
    for row in rows:
        x, y = row.get(key), row.get("psnr")
        if isinstance(x, int | float) and isinstance(y, int | float) and x > 0:
            found.append(Point(label=str(row["name"]), x=factor * x, y=float(y), ours=False))
    return found


def _crops(rows: Sequence[CropRow], notes: Sequence[str]) -> str:
    parts = []
    for row in rows:
        left, top = row.place
        where = f"{row.image}, {SIDE} pixels from ({left}, {top})"
        parts.append(f"<h3>{escape(row.image)}</h3>")
        parts.append(
            f'<p class="note">The place where {escape(row.why)} errs most, at {left}, {top}; '
            "PSNR is that of the cut-out, RGB.</p>"
        )
        pictures = []
        for picture in row.pictures:
            quality = "" if picture.psnr is None else f" {picture.psnr:.2f} dB"
            told = f"{picture.title} of {where}{quality and f', PSNR{quality}'}"
            pictures.append(
                f'<figure><img src="{picture.uri}" width="180" height="180" alt="{escape(told)}">'
                f"<figcaption>{escape(picture.title)}{quality}</figcaption></figure>"
            )
        parts.append(f'<div class="crops">{"".join(pictures)}</div>')
    parts += [f'<p class="note">{escape(note)}</p>' for note in notes]
    return "".join(parts)
