"""Axes and line charts."""

import re

import pytest

from edgesr.charts import Axis, LogAxis, line_chart


def test_an_axis_runs_from_its_start_to_its_end() -> None:
    axis = Axis(low=0.0, high=10.0, start=100.0, end=20.0)
    assert [axis.place(value) for value in (0, 5, 10)] == [100, 60, 20]
    assert axis.ticks() == [0, 2, 4, 6, 8, 10]


def test_a_logarithmic_axis_gives_every_factor_the_same_length() -> None:
    axis = LogAxis(low=0.0, high=2.0, start=0.0, end=100.0)
    assert [axis.place(value) for value in (1, 10, 100)] == [0, 50, 100]
    assert axis.ticks() == [1, 2, 5, 10, 20, 50, 100]


@pytest.mark.parametrize(
    ("heights", "is_log"), [((100.0, 1.0), True), ((2.0, 1.0), False), ((100.0, -1.0), False)]
)
def test_values_of_several_factors_take_a_logarithmic_axis(
    heights: tuple[float, ...], *, is_log: bool
) -> None:
    svg = line_chart(list(enumerate(heights)), name="a", title="T<", x_title="step", y_title="loss")
    assert ("(log scale)" in svg) is is_log
    assert "T&lt;" in svg
    points = re.search('points="([^"]*)"', svg)
    assert points is not None
    (left, top), (right, bottom) = (map(float, one.split(",")) for one in points[1].split())
    assert left < right
    assert top < bottom


def test_one_point_is_a_chart() -> None:
    assert "<polyline" in line_chart([(3, 0.0)], name="a", title="t", x_title="x", y_title="y")
