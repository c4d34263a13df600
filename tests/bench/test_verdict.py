"""Verdicts on times: simulated series, no clock."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.bench.verdict import (
    MIN_REPEATS,
    Ratio,
    drift,
    judge,
    judge_apart,
    median_interval,
    paired_ratio,
)

Series = NDArray[np.float64]
TRIALS = 400


def _white(generator: np.random.Generator, count: int) -> Series:
    made: Series = generator.lognormal(0, 0.03, count)
    return made


def _spikes(generator: np.random.Generator, count: int) -> Series:
    made: Series = _white(generator, count) * np.where(generator.random(count) < 0.2, 2.5, 1.0)
    return made


def _sticky(generator: np.random.Generator, count: int) -> Series:
    """Noise that remembers: a slow moment lasts for several repetitions."""
    level, made = 0.0, []
    for step in generator.normal(0, 0.03, count):
        level = 0.7 * level + step
        made.append(level)
    levels: Series = np.exp(np.array(made))
    return levels


NOISE = {"white": _white, "spikes": _spikes, "sticky": _sticky}


@pytest.mark.parametrize("kind", NOISE)
@pytest.mark.parametrize("repeats", [15, 40])
def test_a_model_against_itself_in_one_run_shows_no_difference(kind: str, repeats: int) -> None:
    generator = np.random.default_rng(1)
    calm = 0
    for _ in range(TRIALS):
        moments = _sticky(generator, repeats) * np.linspace(1, 1.2, repeats)
        ours, theirs = (10 * moments * NOISE[kind](generator, repeats) for _ in range(2))
        calm += judge(paired_ratio(ours.tolist(), theirs.tolist())) == "no difference"
    assert calm >= 0.95 * TRIALS


@pytest.mark.parametrize("kind", NOISE)
def test_two_runs_of_one_model_show_no_difference(kind: str) -> None:
    generator = np.random.default_rng(2)
    calm = 0
    for _ in range(TRIALS):
        runs = [10 * generator.lognormal(0, 0.015) * NOISE[kind](generator, 15) for _ in range(2)]
        drifted = any(drift(run.tolist()).significant for run in runs)
        _, verdict = judge_apart(runs[0].tolist(), runs[1].tolist(), drifted=drifted)
        calm += verdict == "no difference"
    assert calm >= 0.95 * TRIALS


def test_a_real_difference_is_found_in_one_run_and_between_two() -> None:
    generator = np.random.default_rng(3)
    found = apart = 0
    for _ in range(TRIALS):
        moments = _sticky(generator, 15)
        ours, theirs = (10 * moments * _white(generator, 15) for _ in range(2))
        found += judge(paired_ratio((0.9 * ours).tolist(), theirs.tolist())) == "faster"
        others = 10 * 1.3 * _white(generator, 15)
        apart += judge_apart(others.tolist(), (10 * _white(generator, 15)).tolist())[1] == "slower"
    assert found >= 0.95 * TRIALS
    assert apart >= 0.95 * TRIALS


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    generator = np.random.default_rng(4)
    held = 0
    for _ in range(TRIALS):
        ours, theirs = (_white(generator, 12) for _ in range(2))
        found = paired_ratio((1.5 * ours).tolist(), theirs.tolist())
        held += found.low <= 1.5 <= found.high
    assert held >= 0.98 * TRIALS


def test_too_few_repetitions_give_no_verdict() -> None:
    few = [1.0] * (MIN_REPEATS - 1)
    assert judge(paired_ratio([2.0] * len(few), few)) == "too few repetitions"
    assert judge(paired_ratio([2.0] * MIN_REPEATS, [1.0] * MIN_REPEATS)) == "slower"


def test_a_difference_below_two_percent_is_none_however_certain() -> None:
    ratio = Ratio(median=1.015, low=1.014, high=1.016, count=1000)
    assert judge(ratio) == "no difference"


def test_the_interval_of_a_median_comes_from_order_statistics() -> None:
    found = median_interval([float(value) for value in range(1, 16)])
    assert (found.median, found.low, found.high) == (8, 3, 13)


def test_a_trend_is_drift_and_noise_is_none() -> None:
    generator = np.random.default_rng(5)
    flat = [drift((10 * _white(generator, 30)).tolist()) for _ in range(100)]
    assert sum(found.significant for found in flat) <= 3
    rising = drift((10 * _white(generator, 30) * np.linspace(1, 1.3, 30)).tolist())
    assert rising.significant
    assert rising.relative == pytest.approx(0.3, abs=0.1)
    assert judge_apart([13.0] * 15, [10.0] * 15, drifted=True)[1] == "no difference"
