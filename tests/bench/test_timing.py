"""Interleaving, on recorded clocks; the harness's own cost, on the real one."""

import itertools
import statistics
from functools import partial

import pytest

from edgesr.bench.timing import Clock, Timing, Work, interleave, quantile, run_session
from edgesr.errors import DataError


def _ticking(step: float = 0.001) -> Clock:
    counter = itertools.count()
    return Clock(wall=lambda: step * next(counter), cpu=lambda: 0.0)


def test_contenders_take_turns_and_the_order_turns_round() -> None:
    calls: list[str] = []
    work: dict[str, Work] = {name: partial(calls.append, name) for name in "abc"}
    session = run_session(work, repeats=2, warmup=1, clock=_ticking())
    assert calls == [*"abc", *"abc", *"cba"]
    assert [len(timing.wall_ms) for timing in session.timings] == [2, 2, 2]


def test_a_crash_is_reported_and_the_others_go_on() -> None:
    calls = itertools.count()

    def dies_later() -> None:
        if next(calls) == 4:
            raise RuntimeError("lost\nthe device")

    session = run_session({"dies": dies_later, "lives": int}, repeats=6, clock=_ticking())
    assert [timing.name for timing in session.timings] == ["lives"]
    assert len(session.timings[0].wall_ms) == 6
    assert session.failures[0].name == "dies"
    assert session.failures[0].reason == "RuntimeError: lost the device"


def test_a_crash_in_the_warm_up_is_reported_once() -> None:
    session = run_session({"dies": lambda: 1 / 0, "lives": int}, repeats=3)
    assert [failure.name for failure in session.failures] == ["dies"]
    with pytest.raises(DataError, match="dies: ZeroDivisionError"):
        interleave({"dies": lambda: 1 / 0}, repeats=1)


def test_the_summary_of_known_times() -> None:
    values = tuple(float(value) for value in range(1, 102))
    timing = Timing(name="known", wall_ms=values, cpu_ms=values)
    assert (timing.median_ms, timing.min_ms, timing.p5_ms, timing.p90_ms) == (51, 1, 6, 91)
    assert timing.iqr_ms == 50
    assert timing.drift.significant
    assert quantile([3.0], 0.9) == 3.0


def test_the_harness_costs_less_than_two_percent_of_a_millisecond() -> None:
    """What a repetition of nothing takes beside what it reports, and what it reports itself."""
    beside, inside = [], []
    for _ in range(5):
        session = run_session({"nothing": int}, repeats=2000)
        timing = session.timings[0]
        counted = statistics.fmean(timing.wall_ms)
        inside.append(timing.median_ms)
        beside.append(counted / (1 - session.overhead) - counted)
    assert min(beside) < 0.02
    assert min(inside) < 0.02
