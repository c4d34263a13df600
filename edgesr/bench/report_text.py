"""The report as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence

from edgesr.bench import report_tables
from edgesr.bench.report_data import ReportData


def markdown(report: ReportData, *, title: str) -> str:
    """Return the report without pictures as Markdown."""
    models = report.models
    sheets = [
        report_tables.summary(report),
        report_tables.timings(report),
        report_tables.published(report),
        report_tables.per_image(report),
        *map(report_tables.operators, models),
        *map(report_tables.certificate, models),
        *report_tables.environments(report),
    ]
    parts = [f"# {title}", *(f"- {line}" for line in remarks(report))]
    for sheet in sheets:
        if sheet is None:
            continue
        parts += ["", f"## {_cell(sheet.title)}", "", _line(sheet.head)]
        parts.append(_line(["---" if i in sheet.text else "---:" for i in range(len(sheet.head))]))
        parts += [_line(row) for row in sheet.rows]
        if sheet.note:
            parts += ["", sheet.note]
    return "\n".join(parts) + "\n"


def comma_separated(report: ReportData) -> str:
    """Return one line for each model, image and protocol, and one with the image ``(mean)``."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["model", "protocol", "image", "psnr_db", "ssim", "bicubic_psnr_db", "median_ms", "bytes"]
    )
    for model in report.models:
        known = [_plain(model.latency_ms), _plain(model.bytes)]
        for protocol, (quality, similarity) in model.mean.items():
            for image in model.images[protocol]:
                values = [_plain(value) for value in (image.psnr, image.ssim, image.bicubic)]
                writer.writerow([model.name, protocol, image.name, *values, "", ""])
            means = [_plain(v) for v in (quality, similarity, model.bicubic.get(protocol))]
            writer.writerow([model.name, protocol, "(mean)", *means, *known])
        if not model.mean:
            writer.writerow([model.name, "", "(mean)", "", "", "", *known])
    return stream.getvalue()


def remarks(report: ReportData) -> list[str]:
    """Return what a reader has to know first: data, failures, notes, sources."""
    lines = [f"images: {dataset}" for dataset in report.datasets]
    lines += [f"failed: {name}: {reason}" for name, reason in report.failures]
    lines += [f"note: {note}" for note in report.notes]
    return [*lines, *(f"source: {path} ({schema})" for path, schema in report.sources)]


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
