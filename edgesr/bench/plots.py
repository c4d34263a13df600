"""Scatter plots as inline SVG: colours come from the page, so light and dark both work."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgesr.charts import Axis, LogAxis

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 18, 52
_CHARACTER, _LINE = 7.4, 13
_LONGEST = 26


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model in a plot.

    Attributes:
        label: text beside it.
        x: cost, more than 0.
        y: quality.
        ours: measured here, not published.
    """

    label: str
    x: float
    y: float
    ours: bool = True


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line: a quality whose cost on this axis is not known."""

    label: str
    y: float


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats in both cost and quality, by rising cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.x, -one.y)):
        if not best or point.y > best[-1].y:
            best.append(point)
    return best


def scatter(  # noqa: PLR0913 - one parameter a part of the picture
    points: Sequence[Point],
    *,
    name: str,
    title: str,
    x_title: str,
    y_title: str,
    levels: Sequence[Level] = (),
) -> str:
    """Return an SVG with a logarithmic cost axis, the Pareto front and a text for screen readers.

    Args:
        points: at least one.
        name: unique on the page, for the ids.
        title: what is shown.
        x_title: cost with its unit.
        y_title: quality with its unit.
        levels: horizontal lines.
    """
    x_axis = LogAxis.around([point.x for point in points], start=_LEFT, end=_WIDTH - _RIGHT)
    heights = [*(point.y for point in points), *(level.y for level in levels)]
    y_axis = Axis.around(heights, start=_HEIGHT - _BOTTOM, end=_TOP)
    best = front(points)
    described = "; ".join(f"{p.label}: {p.x:.3g}, {p.y:.2f}" for p in points)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="plot"',
        f' aria-labelledby="{name}-title {name}-text">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-text">{escape(f"{x_title} against {y_title}. {described}")}</desc>',
        *_grid(x_axis, y_axis, x_title, y_title),
    ]
    for level in levels:
        y = y_axis.place(level.y)
        parts.append(f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
    corners = [(x_axis.place(point.x), y_axis.place(point.y)) for point in best]
    if len(corners) > 1:
        steps = f"M{corners[0][0]} {corners[0][1]}"
        steps += "".join(f"H{x}V{y}" for x, y in corners[1:])
        parts.append(f'<path class="front" d="{steps}"/>')
    taken = _Taken()
    for point in points:
        taken.mark(x_axis.place(point.x), y_axis.place(point.y))
    for point in sorted(points, key=lambda one: not one.ours):
        x, y = x_axis.place(point.x), y_axis.place(point.y)
        parts.append(taken.text(point.label, x, y, "ours" if point.ours else "published"))
    parts += [
        taken.text(level.label, _LEFT + 2, y_axis.place(level.y) - 8, "ours") for level in levels
    ]
    for point in sorted(points, key=lambda one: one.ours):
        x, y = x_axis.place(point.x), y_axis.place(point.y)
        kind = "ours" if point.ours else "published"
        shape = (
            f'<circle class="{kind}" cx="{x}" cy="{y}" r="5.5"/>'
            if point.ours
            else f'<path class="{kind}" d="M{x} {y - 6}l6 6l-6 6l-6 -6z"/>'
        )
        parts.append(f"<g><title>{escape(_told(point, x_title, y_title))}</title>{shape}</g>")
    return "".join([*parts, "</svg>"])


def _grid(x_axis: LogAxis, y_axis: Axis, x_title: str, y_title: str) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = ['<g class="grid" aria-hidden="true">']
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    for value in x_axis.ticks():
        x = x_axis.place(value)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text class="axis" x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">'
        f"{escape(x_title)} (log scale)</text>"
    )
    height = (_TOP + bottom) / 2
    parts.append(
        f'<text class="axis" transform="rotate(-90 16 {height})" x="16" y="{height}" '
        f'text-anchor="middle">{escape(y_title)}</text></g>'
    )
    return parts


class _Taken:
    """Places that labels keep off."""

    def __init__(self) -> None:
        self._boxes: list[tuple[float, float, float, float]] = []

    def mark(self, x: float, y: float) -> None:
        self._boxes.append((x - 6, y - 6, x + 6, y + 6))

    def text(self, label: str, x: float, y: float, kind: str) -> str:
        """Return the label at the first free place round ``(x, y)``."""
        shown = label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
        width = _CHARACTER * len(shown)
        for dy in (4, -9, 18, -22, 31, -35, 44, -48):
            for left in (x + 9, x - 9 - width):
                box = (left, y + dy - 10, left + width, y + dy - 10 + _LINE)
                if box[0] < _LEFT or box[2] > _WIDTH - 2 or box[1] < 0:
                    continue
                if box[3] > _HEIGHT - _BOTTOM or any(_meet(box, other) for other in self._boxes):
                    continue
                self._boxes.append(box)
                is_left = left < x
                return (
                    f'<text class="label {kind}" x="{x - 9 if is_left else left:.1f}" '
                    f'y="{y + dy:.1f}" text-anchor="{"end" if is_left else "start"}" '
                    f'aria-hidden="true">{escape(shown)}</text>'
                )
        return ""  # no room: the tooltip and the table have it


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _told(point: Point, x_title: str, y_title: str) -> str:
    kind = "measured here" if point.ours else "published"
    return f"{point.label} ({kind}): {x_title} {point.x:.4g}, {y_title} {point.y:.3f}"
