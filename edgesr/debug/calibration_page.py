"""A calibration report as one HTML file: no script, no network, light and dark."""

from collections.abc import Sequence
from html import escape

from edgesr.debug.calibration_plot import STYLE as PLOT_STYLE
from edgesr.debug.calibration_plot import PlotPoint, curve_svg
from edgesr.debug.calibration_report import CalibrationReport
from edgesr.debug.calibration_text import (
    CURVE_HEADINGS,
    TENSOR_HEADINGS,
    curve_rows,
    dead_rows,
    fact_rows,
    tensor_rows,
)
from edgesr.debug.calibration_trials import Figure
from edgesr.debug.style import STYLE
from edgesr.debug.table import html_note, html_table

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html(report: CalibrationReport) -> str:
    """Return the whole page."""
    title = f"edgesr calibrate: {report.loaded.descriptor.name} x{report.loaded.scale}"
    sections = (
        ("curve", "How many images", _curve(report)),
        ("tensors", "Ranges", _tensors(report)),
        ("dead", "Dead channels", _dead(report)),
    )
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{name}</h2>{text}</section>'
        for key, name, text in sections
    )
    warned = "".join(f"<li>{escape(text)}</li>" for text in report.warnings)
    count = len(report.warnings)
    headline = f"{count} warning{'' if count == 1 else 's'}" if count else "No warnings"
    facts = "".join(
        f'<tr><th scope="row" class="text">{name}</th><td class="text">{escape(text)}</td></tr>'
        for name, text in fact_rows(report)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}{PLOT_STYLE}</style></head><body>"
        '<a class="skip" href="#content">Skip to the content</a>'
        f'<header><h1>{escape(title)}</h1><p class="verdict">{headline}</p>'
        f'<ul class="warnings">{warned}</ul>'
        f'<div class="wide"><table><tbody>{facts}</tbody></table></div>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
        f'<main id="content">{body}</main><footer><p class="note">Written by edgesr. This file '
        "needs no network and runs no script.</p></footer></body></html>\n"
    )


def _curve(report: CalibrationReport) -> str:
    plots = []
    for key, title in (("drop", "PSNR lost, dB"), ("psnr_to_float", "PSNR to float, dB")):
        svg = curve_svg(
            [_point(point.images, getattr(point, key)) for point in report.curve],
            level=_point(report.whole.images, getattr(report.whole, key)),
            chosen=report.recommended,
            name=key,
            title=title,
            y_title=title,
        )
        plots.append(f"<figure>{svg}<figcaption>{title}</figcaption></figure>")
    note = (
        f"Dashed: all {report.images} images, mean over {len(report.whole.trials)} seeds; the band "
        "is one standard deviation. Bars: one standard deviation over choices of images and crops. "
        "The ring is the number recommended: from there on the mean drop stays in the band or "
        "below it."
    )
    table = _plain_table(CURVE_HEADINGS, curve_rows(report), text=set())
    return f'<div class="plots">{"".join(plots)}</div>{html_note(note)}{table}'


def _tensors(report: CalibrationReport) -> str:
    note = (
        "Outside: share of held-out values that the grid clips, and how many steps the farthest "
        "lies beyond its end. Saturated: share of values more than one step outside, in "
        "calibration and held-out. Unused: share of the codes that no held-out value takes. "
        "Spread: largest minus smallest scale over seeds, over their mean. *: the grid of 8-bit "
        "images, whatever was seen; what it clips has to be clipped."
    )
    return _plain_table(TENSOR_HEADINGS, tensor_rows(report), text={0}) + html_note(note)


def _dead(report: CalibrationReport) -> str:
    if not report.dead:
        return html_note(
            f"None of {report.channels} channels is constant on all calibration images."
        )
    head = ("layer", "channel", "value", "weights", "on held-out images")
    note = f"{len(report.dead)} of {report.channels} channels have one value on all of them."
    return _plain_table(head, dead_rows(report), text={0, 3, 4}) + html_note(note)


def _point(images: int, figure: Figure) -> PlotPoint:
    return PlotPoint(x=images, y=figure.mean, std=figure.std or 0.0)


def _plain_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: set[int]) -> str:
    escaped = [[escape(cell) for cell in row] for row in rows]
    return html_table("table", head, escaped, text=text)
