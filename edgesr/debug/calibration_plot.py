"""Curves over the number of images as inline SVG; colours come from the page, light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 560, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 18, 14, 46
_TICKS = 5
_CAP = 5

STYLE = """
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:18px}
.plots figure{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:10px}
.plot{width:100%;height:auto;display:block}
.plot text{fill:var(--text);font-size:12px}.plot .ticks text{fill:var(--soft)}
.plot .ticks line{stroke:var(--line)}.plot .band{fill:var(--mark);opacity:.14}
.plot .level{stroke:var(--mark);stroke-width:1;stroke-dasharray:5 4}
.plot .curve{fill:none;stroke:var(--mark);stroke-width:2}
.plot .spread{stroke:var(--mark);stroke-width:1.5;fill:none}
.plot circle{fill:var(--mark)}.plot circle.chosen{fill:var(--panel);stroke:var(--mark);
stroke-width:3}
.warnings{margin:.4rem 0;padding-left:1.2rem}
"""
"""Rules to add to the page's style sheet."""


@dataclass(frozen=True, kw_only=True)
class PlotPoint:
    """One point: ``x`` images, ``y`` dB and its standard deviation, 0 where there is none."""

    x: int
    y: float
    std: float = 0.0


def curve_svg(  # noqa: PLR0913 - one parameter a part of the picture
    points: Sequence[PlotPoint],
    *,
    level: PlotPoint,
    chosen: int | None,
    name: str,
    title: str,
    y_title: str,
) -> str:
    """Return a curve with error bars over a logarithmic number of images, and a text for readers.

    Args:
        points: by rising x; those that are not finite are left out.
        level: the whole set: a horizontal line with a band of one standard deviation.
        chosen: x of the point to stress.
        name: unique on the page, for the ids.
        title: what is shown.
        y_title: quality with its unit.
    """
    shown = [point for point in points if math.isfinite(point.y)]
    levels = [level] if math.isfinite(level.y) else []
    both = [*shown, *levels]
    if not both:
        return ""
    ends = [end for one in both for end in (one.y - one.std, one.y + one.std)]
    room = max((max(ends) - min(ends)) * 0.1, 1e-3)
    low, high = min(ends) - room, max(ends) + room
    first, last = min(one.x for one in both), max(one.x for one in both)

    def across(x: int) -> float:
        span = math.log2(last / first) or 1.0
        part = math.log2(x / first) / span if last > first else 0.5
        return round(_LEFT + 14 + part * (_WIDTH - _LEFT - _RIGHT - 28), 1)

    def up(y: float) -> float:
        part = (y - low) / (high - low)
        return round(_HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM), 1)

    told = "; ".join(f"{one.x} images: {one.y:.4f} +- {one.std:.4f}" for one in shown)
    described = escape(f"{y_title} by number of images. {told}")
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="plot"',
        f' aria-labelledby="{name}-title {name}-text">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-text">{described}</desc><g class="ticks" aria-hidden="true">',
    ]
    bottom = _HEIGHT - _BOTTOM
    for value in _ticks(low, high):
        y = up(value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{across(x)}" y="{bottom + 18}" text-anchor="middle">{x}</text>'
        for x in sorted({one.x for one in both})
    ]
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f'calibration images (log scale)</text><text transform="rotate(-90 14 {middle})" x="14" '
        f'y="{middle}" text-anchor="middle">{escape(y_title)}</text></g>'
    )
    for one in levels:
        top, base, y = (up(value) for value in (one.y + one.std, one.y - one.std, one.y))
        wide = _WIDTH - _RIGHT - _LEFT
        parts.append(
            f'<rect class="band" x="{_LEFT}" y="{top}" width="{wide}" height="{base - top:.1f}"/>'
            f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        )
    if len(shown) > 1:
        line = " ".join(f"{across(one.x)},{up(one.y)}" for one in shown)
        parts.append(f'<polyline class="curve" points="{line}"/>')
    for one in shown:
        x, centre = across(one.x), up(one.y)
        text = f"{one.x} images: {one.y:.4f} dB, standard deviation {one.std:.4f}"
        ends_y = (up(one.y + one.std), up(one.y - one.std))
        bar = f"M{x} {ends_y[0]}V{ends_y[1]}"
        bar += "".join(f"M{x - _CAP} {end}h{2 * _CAP}" for end in ends_y)
        mark = ' class="chosen"' if one.x == chosen else ""
        parts.append(
            f'<g><title>{escape(text)}</title><path class="spread" d="{bar}"/>'
            f'<circle{mark} cx="{x}" cy="{centre}" r="5"/></g>'
        )
    return "".join([*parts, "</svg>"])


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [float(f"{number * step:.6g}") for number in numbers]
