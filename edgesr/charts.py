"""Axes of charts, and line charts as inline SVG; colours come from the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 18, 14, 46
_TICKS = 6
_FINE = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)

Line = Sequence[tuple[float, float]]
"""Points (x, y) from left to right."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A linear axis, from value ``low`` at pixel ``start`` to ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], *, start: float, end: float) -> "Axis":
        """Return an axis with room round ``values``, of which there is at least one."""
        low, high = min(values), max(values)
        room = max((high - low) * 0.12, 0.05)
        return cls(low=low - room, high=high + room, start=start, end=end)

    def place(self, value: float) -> float:
        """Return the pixel of ``value``."""
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Return about six round values."""
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step)
        return [round(index * step, 6) for index in range(first, math.floor(self.high / step) + 1)]


@dataclass(frozen=True, kw_only=True)
class LogAxis:
    """A logarithmic axis; ``low`` and ``high`` are decades."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], *, start: float, end: float) -> "LogAxis":
        """Return an axis with room round ``values``, at least one and all above 0."""
        logs = [math.log10(value) for value in values]
        room = max((max(logs) - min(logs)) * 0.15, 0.15)
        return cls(low=min(logs) - room, high=max(logs) + room, start=start, end=end)

    def place(self, value: float) -> float:
        """Return the pixel of ``value``."""
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Return round values."""
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        several = self.high - self.low > 2  # noqa: PLR2004 - decades
        steps: tuple[float, ...] = (1.0,) if several else (1.0, 2.0, 5.0)
        if self.high - self.low < 0.6:  # noqa: PLR2004 - decades
            steps = _FINE
        values = [step * 10.0**decade for decade in decades for step in steps]
        return [value for value in values if self.low <= math.log10(value) <= self.high]


def line_chart(line: Line, *, name: str, title: str, x_title: str, y_title: str) -> str:
    """Return an SVG of one curve with a text for screen readers.

    The y axis is logarithmic where all values are above 0 and span more than a factor of 4.

    Args:
        line: finite points, at least one.
        name: unique on the page, for the ids.
        title: what is shown.
        x_title: with its unit.
        y_title: with its unit.
    """
    heights = [y for _, y in line]
    is_log = min(heights) > 0 and max(heights) > 4 * min(heights)
    x_axis = Axis.around([x for x, _ in line], start=_LEFT, end=_WIDTH - _RIGHT)
    made = LogAxis if is_log else Axis
    y_axis = made.around(heights, start=_HEIGHT - _BOTTOM, end=_TOP)
    points = " ".join(f"{x_axis.place(x)},{y_axis.place(y)}" for x, y in line)
    (first_x, first_y), (last_x, last_y) = line[0], line[-1]
    told = f"{y_title} from {first_y:.4g} at {first_x:g} to {last_y:.4g} at {last_x:g}"
    middle, height = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="plot"',
        f' aria-labelledby="{name}-title {name}-text">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-text">{escape(told)}</desc><g class="grid" aria-hidden="true">',
    ]
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    for value in x_axis.ticks():
        x = x_axis.place(value)
        parts.append(
            f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value:g}</text>'
        )
    parts += [
        f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text transform="rotate(-90 14 {height})" x="14" y="{height}" text-anchor="middle">',
        f"{escape(y_title)}{' (log scale)' if is_log else ''}</text></g>",
        f'<polyline class="curve" points="{points}"/>',
        f'<circle class="ours" cx="{x_axis.place(last_x)}" cy="{y_axis.place(last_y)}" r="3.5"/>',
    ]
    return "".join([*parts, "</svg>"])


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step)
