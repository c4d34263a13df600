"""Confidence of the mean of paired differences."""

import numpy as np
import pytest

from edgesr.bench.power import SHAPES, SPREADS_DB, main, simulate
from edgesr.bench.statistics import paired_interval


def test_bounds_of_normal_differences_are_those_of_student() -> None:
    values = np.random.default_rng(1).normal(0.03, 0.05, 100)
    interval = paired_interval(values, confidence=0.99, resamples=40_000)
    error = values.std(ddof=1) / 10
    student = 2.3646  # 99 % quantile, 99 degrees of freedom
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - student * error, abs=0.25 * error)
    assert interval.high == pytest.approx(values.mean() + student * error, abs=0.25 * error)


def test_the_same_seed_gives_the_same_bounds() -> None:
    values = np.random.default_rng(2).normal(size=50)
    assert paired_interval(values, seed=3) == paired_interval(values, seed=3)
    assert paired_interval(values, seed=3) != paired_interval(values, seed=4)


@pytest.mark.parametrize("values", [[0.02] * 40, [0.1], [0.1, -0.1, 0.2], [0.0] * 10])
def test_equal_or_few_differences_have_their_mean_as_bounds(values: list[float]) -> None:
    interval = paired_interval(values)
    assert interval.method == "mean"
    assert interval.low == interval.high == interval.mean == pytest.approx(np.mean(values))


def test_many_images_are_resampled_in_pieces() -> None:
    values = np.random.default_rng(4).normal(size=5000)
    interval = paired_interval(values, resamples=1000)
    assert interval.low < values.mean() < interval.high


@pytest.mark.parametrize("shape", SHAPES)
def test_false_alarms_are_rare_and_a_loss_of_005_db_is_seen(shape: str) -> None:
    power = simulate(shape, 0.05, trials=150, resamples=1000)
    # 150 trials at 1 % have at most 5 alarms with 99.6 % probability.
    assert power.false_alarms <= 5 / 150
    assert power.detections >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["normal", "long tails"])
@pytest.mark.parametrize("spread", SPREADS_DB)
def test_false_alarms_stay_below_one_percent(shape: str, spread: float) -> None:
    assert simulate(shape, spread, trials=1000).false_alarms <= 0.01


def test_drawn_losses_have_mean_0_and_deviation_1() -> None:
    for draw in SHAPES.values():
        sample = draw(np.random.default_rng(0), 200_000)
        assert sample.mean() == pytest.approx(0.0, abs=0.01)
        assert sample.std() == pytest.approx(1.0, abs=0.03)


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(trials=2)
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(SHAPES) * len(SPREADS_DB)
