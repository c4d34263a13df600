"""Observers find the range that their name promises, whatever the order of batches."""

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.errors import GraphError
from edgesr.quant.affine import choose_qparams
from edgesr.quant.observers import (
    MAX_BINS,
    MIN_BINS,
    OBSERVERS,
    Histogram,
    HistogramMseObserver,
    MinMaxObserver,
)
from edgesr.quant.scheme import QParams


def heavy_tail(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(50_000, generator=generator) ** 3


def squared_error(values: Tensor, grid: QParams) -> float:
    fake = torch.fake_quantize_per_tensor_affine(
        values, float(grid.scale), grid.zero_point, -128, 127
    )
    return float(((fake - values).double() ** 2).mean())


@pytest.mark.parametrize("name", OBSERVERS)
def test_every_observer_covers_well_behaved_values(name: str) -> None:
    observer = OBSERVERS[name]()
    observer.update(torch.rand(10_000) * 8)
    grid = observer.qparams()
    assert grid.zero_point == -128
    assert grid.high == pytest.approx(8.0, rel=0.02)
    assert observer.saturation(grid) == 0.0


@pytest.mark.parametrize("name", OBSERVERS)
def test_the_order_of_batches_does_not_matter(name: str) -> None:
    batches = [heavy_tail(seed) * 4.0**seed for seed in range(4)]
    found = []
    for order in (batches, batches[::-1]):
        observer = OBSERVERS[name]()
        for batch in order:
            observer.update(batch)
        found.append(observer.qparams())
    assert found[0] == found[1]


def test_the_histogram_counts_every_value_while_it_grows() -> None:
    histogram = Histogram()
    total = 0
    for power in range(-6, 7):
        values = heavy_tail(power + 6) * 3.0**power
        values[:100] = 0.0
        histogram.update(values)
        total += values.numel()
    assert histogram.counts.sum() + histogram.zeros == total
    assert len(histogram.counts) <= MAX_BINS
    assert (histogram.high - histogram.low) / histogram.width >= MIN_BINS - 2


def test_the_histogram_places_values_as_numpy_does() -> None:
    histogram = Histogram()
    values = heavy_tail()
    histogram.update(values)
    numbers = np.floor(values.numpy().astype(np.float64) / histogram.width).astype(int)
    wanted = np.bincount(numbers - histogram.first, minlength=len(histogram.counts))
    moved_bins = np.abs(np.cumsum(histogram.counts - wanted)).sum()
    assert moved_bins <= 0.01 * values.numel()  # float32 puts values at an edge next door


def test_mse_clips_a_heavy_tail_and_beats_every_other_symmetric_clip() -> None:
    values = heavy_tail()
    mse, minmax = HistogramMseObserver(), MinMaxObserver()
    for observer in (mse, minmax):
        observer.update(values)
    found = squared_error(values, mse.qparams())
    assert found < 0.95 * squared_error(values, minmax.qparams())
    low, high = float(values.min()), float(values.max())
    brute = min(
        squared_error(values, choose_qparams(low * factor, high * factor))
        for factor in np.linspace(0.05, 1.0, 96)
    )
    assert found <= 1.01 * brute
    assert 0 < mse.saturation(mse.qparams()) < 0.01


def test_one_long_side_is_cut_without_the_other() -> None:
    values = torch.cat([torch.rand(1_000_000) * 4 - 2, torch.tensor([20.0])])
    observer = HistogramMseObserver()
    observer.update(values)
    grid = observer.qparams()
    assert grid.low == pytest.approx(-2.0, rel=0.1)
    assert 2.0 < grid.high < 15.0


def test_a_tensor_that_is_always_zero_has_a_grid() -> None:
    for make in OBSERVERS.values():
        observer = make()
        observer.update(torch.zeros(10))
        assert observer.qparams().scale > 0


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(GraphError, match="want finite ones"):
        MinMaxObserver().update(torch.tensor([1.0, float("nan")]))
