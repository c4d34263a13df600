"""What was found as one HTML file without script or network, light or dark."""

import math
from collections.abc import Sequence
from html import escape

from edgesr.debug.crops import SIDE, WorstCrop, heat_map, heat_peak, png_uri
from edgesr.debug.debugger import Debugging
from edgesr.debug.figures import LayerFigures, Probe, Suspect, TensorFigures
from edgesr.debug.remedies import remedy, verdict
from edgesr.debug.report import layer_gains
from edgesr.debug.style import STYLE
from edgesr.debug.table import html_note, html_table

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_SEEN = 0.005
_SHOWN = 192
_WHITE = 255.0
_BAR, _BAR_HEIGHT, _STRIPE = 150, 14, 3


def html(found: Debugging, worst: Sequence[WorstCrop]) -> str:
    """Return the whole page.

    Args:
        found: what was found.
        worst: places to show, the worst first.
    """
    probe = found.probed.probe
    title = f"edgesr debug: {found.loaded.descriptor.name} x{found.loaded.scale} in int8"
    sections = (
        ("suspects", "What costs how much", _suspects(probe)),
        ("places", "Worst places", _places(found, worst)),
        ("layers", "Layers", _layers(probe)),
        ("tensors", "Tensors", _tensors(probe)),
    )
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{name}</h2>{text}</section>'
        for key, name, text in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        '<a class="skip" href="#content">Skip to the content</a>'
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="verdict">{escape(verdict(probe))}.</p>{_totals(found)}'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
        f'<main id="content">{body}</main><footer><p class="note">Written by edgesr. This file '
        "needs no network and runs no script.</p></footer></body></html>\n"
    )


def number(value: float, digits: int = 2) -> str:
    """Return a number as text; infinite decibels are ``exact``."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "exact"


def signed(gain: float) -> str:
    """Return decibels with their sign; what rounds to 0 is +0.00."""
    return f"{gain if abs(gain) >= _SEEN else 0.0:+.2f}"


def label(suspect: Suspect) -> str:
    """Return what a suspect is, such as ``weights of conv`` or ``range of a, b``."""
    if suspect.kind == "weights":
        return f"weights of {suspect.name}"
    return f"tensor {', '.join(suspect.layers or (suspect.name,))}"


def _totals(found: Debugging) -> str:
    totals = found.probed.probe.totals
    red, green, blue = totals.colour_bias
    banding = totals.banding
    contours = (
        f"{banding.excess:+.3f} grey levels (int8 {banding.int8:.3f}, float {banding.float_:.3f}; "
        f"{banding.smooth:.1%} of the picture is smooth)"
        if banding.smooth
        else "no smooth area in these images"
    )
    rows = [
        (
            "PSNR to float",
            f"{number(totals.psnr)} dB; 8 bits allow {number(totals.psnr_ceiling)} dB at most",
        ),
        ("largest error", f"{totals.max_error:.1f} grey levels"),
        ("colour bias", f"R {red:+.3f} G {green:+.3f} B {blue:+.3f} grey levels"),
        ("banding", contours),
        ("compared on", f"{len(found.crops)} crops: {found.held_out_source}"),
        (
            "ranges",
            "trained" if found.observer is None else f"{found.observer}: {found.source}",
        ),
    ]
    if found.psnr_to_origin is not None:
        text = f"{number(found.psnr_to_origin)} dB to the float network that training started from"
        rows.insert(1, ("PSNR to origin", text))
    lines = "".join(
        f'<tr><th scope="row" class="text">{name}</th><td class="text">{escape(text)}</td></tr>'
        for name, text in rows
    )
    return f'<div class="wide"><table><tbody>{lines}</tbody></table></div>'


def _suspects(probe: Probe) -> str:
    finite = [one.gain_db for one in probe.suspects if math.isfinite(one.gain_db)]
    most = max([*finite, 1e-9])
    rows = []
    for rank, one in enumerate(probe.suspects, start=1):
        share = min(max(one.gain_db, 0.0) / most, 1.0)
        bar = (
            f'<svg class="bar" width="{_BAR}" height="{_BAR_HEIGHT}" aria-hidden="true">'
            f'<rect class="gain" width="{share * _BAR:.1f}" height="{_BAR_HEIGHT}"/></svg>'
        )
        rows.append(
            [
                str(rank),
                escape(label(one)),
                signed(one.gain_db),
                bar,
                number(one.sqnr_db, 1),
                str(one.bits),
                escape(remedy(one).text),
            ]
        )
    head = ["rank", "kept in float", "gain dB", "", "SQNR dB", "bits", "remedy"]
    note = (
        "Gain: how much PSNR against the float picture rises if this alone is kept in float; "
        "tensors that share a grid are kept together. A remedy with a gain was tried out on these "
        "crops, and its range or bias was fitted on them too. SQNR: power of the values over that "
        "of their own rounding error."
    )
    return html_table("What costs how much", head, rows, text={1, 3, 6}) + html_note(note)


def _places(found: Debugging, worst: Sequence[WorstCrop]) -> str:
    cuts = [
        (one.cut(found.probed.floats[one.image]), one.cut(found.probed.int8s[one.image]))
        for one in worst
    ]
    peak = heat_peak([coarse - fine for fine, coarse in cuts])
    parts = [
        html_note(
            "Where int8 and float differ most. In the difference, the largest of red, green and "
            f"blue counts: black is equal, red {peak / 3:.1f} grey levels, yellow "
            f"{2 * peak / 3:.1f}, white {peak} or more (amplified {_WHITE / peak:.0f} times)."
        )
    ]
    for one, (fine, coarse) in zip(worst, cuts, strict=True):
        crop, scale = found.crops[one.image], found.loaded.scale
        left, top = crop.left * scale + one.left, crop.top * scale + one.top
        where = f"{crop.image}, {one.width}x{one.height} pixels from ({left}, {top})"
        quality = f"{number(one.psnr)} dB to float, off by {one.max_error:.1f} at most"
        pictures = (
            ("float", png_uri(fine)),
            ("int8", png_uri(coarse)),
            ("difference", png_uri(heat_map(fine, coarse, peak=peak))),
        )
        figures = "".join(
            f'<figure><img src="{uri}" width="{_SHOWN * one.width // SIDE}" '
            f'height="{_SHOWN * one.height // SIDE}" alt="{escape(f"{name} of {where}")}">'
            f"<figcaption>{name}</figcaption></figure>"
            for name, uri in pictures
        )
        parts.append(
            f'<h3>{escape(where)}</h3>{html_note(quality)}<div class="crops">{figures}</div>'
        )
    return "".join(parts)


def _layers(probe: Probe) -> str:
    figures = {one.name: one for one in probe.layers}
    rows = []
    for rank, (name, (tensor, weights)) in enumerate(layer_gains(probe).items(), start=1):
        cells = [str(rank), escape(name), signed(tensor)]
        rows.append(cells + _weight_cells(figures.get(name), weights))
    head = [
        "rank",
        "layer",
        "gain of output dB",
        "gain of weights dB",
        "weight SQNR dB",
        "weight bits",
        "largest mean error",
        "mean error by channel",
        "dead channels",
    ]
    note = (
        "Ranked by the larger gain. Mean error: int8 minus float before the activation, in real "
        "units, with what earlier layers did; the stripes are the channels, every row on its "
        "own scale. Dead: channels that are constant on all crops."
    )
    return html_table("Layers", head, rows, text={1, 7}) + html_note(note)


def _weight_cells(figures: LayerFigures | None, gain: float) -> list[str]:
    if figures is None:
        return [""] * 6
    largest = max(figures.mean_error, key=abs)
    dead = str(figures.dead)
    if figures.dead != figures.dead_float:
        dead += f" (float {figures.dead_float})"
    return [
        signed(gain),
        number(figures.sqnr_db, 1),
        str(figures.bits),
        f"{largest:+.3g} (channel {figures.mean_error.index(largest)})",
        _stripes(figures.mean_error),
        dead,
    ]


def _tensors(probe: Probe) -> str:
    rows = [
        [
            escape(one.name),
            escape("" if one.group == one.name else one.group),
            f"[{one.low:.4g}, {one.high:.4g}]",
            f"[{one.grid_low:.4g}, {one.grid_high:.4g}]",
            _range_bar(one),
            f"{one.used:.0%}",
            f"{one.saturated:.2%}",
            f"{one.clipped:.0%}",
            number(one.sqnr_db, 1),
            number(one.sqnr_accumulated_db, 1),
        ]
        for one in probe.tensors
    ]
    head = [
        "tensor",
        "grid of",
        "float values",
        "grid",
        "values in grid",
        "grid used",
        "saturated",
        "clipping",
        "own SQNR dB",
        "accumulated SQNR dB",
    ]
    note = (
        "Bar: grey is the grid, the line the float values seen. Saturated: share of values more "
        "than half a step outside the grid; clipping: their part of the tensor's own squared "
        "error. Own: given float inputs, this rounding alone; accumulated: everything up to here."
    )
    return html_table("Tensors", head, rows, text={0, 1, 4}) + html_note(note)


def _range_bar(one: TensorFigures) -> str:
    low, high = min(one.low, one.grid_low), max(one.high, one.grid_high)
    factor = _BAR / (high - low)
    grid = ((one.grid_low - low) * factor, (one.grid_high - one.grid_low) * factor)
    seen = ((one.low - low) * factor, max((one.high - one.low) * factor, 1.0))
    return (
        f'<svg class="bar" width="{_BAR}" height="{_BAR_HEIGHT}" aria-hidden="true">'
        f'<rect class="grid" x="{grid[0]:.1f}" width="{grid[1]:.1f}" height="{_BAR_HEIGHT}"/>'
        f'<rect class="seen" x="{seen[0]:.1f}" y="5" width="{seen[1]:.1f}" height="4"/></svg>'
    )


def _stripes(values: Sequence[float]) -> str:
    largest = max(map(abs, values)) or 1.0
    middle = 12.0
    rects = []
    for index, value in enumerate(values):
        tall = abs(value) / largest * middle
        top = middle - tall if value > 0 else middle
        rects.append(
            f'<rect class="seen" x="{index * _STRIPE}" y="{top:.1f}" width="{_STRIPE - 1}" '
            f'height="{tall:.1f}"/>'
        )
    return (
        f'<svg class="bar" width="{len(values) * _STRIPE}" height="24" aria-hidden="true">'
        f"{''.join(rects)}</svg>"
    )
