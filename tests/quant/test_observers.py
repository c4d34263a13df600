"""Observers find the range that their name promises, whatever the order of batches."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import rel_entr
from torch import Tensor

from edgesr.errors import GraphError
from edgesr.quant.affine import choose_qparams
from edgesr.quant.entropy import entropy_range
from edgesr.quant.histogram import MAX_BINS, MIN_BINS, Histogram
from edgesr.quant.observers import OBSERVERS
from edgesr.quant.range_search import dobi_range, percentile_range
from edgesr.quant.scheme import QParams


def heavy_tail(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(50_000, generator=generator) ** 3


def squared_error(values: Tensor, grid: QParams) -> float:
    fake = torch.fake_quantize_per_tensor_affine(
        values, float(grid.scale), grid.zero_point, -128, 127
    )
    return float(((fake - values).double() ** 2).mean())


FROM_HISTOGRAM = [name for name in OBSERVERS if name not in {"moving_average", "pams"}]


@pytest.mark.parametrize("name", [name for name in OBSERVERS if name != "pams"])
def test_every_observer_covers_well_behaved_values(name: str) -> None:
    observer = OBSERVERS[name]()
    observer.update(torch.rand(4, 50_000) * 8)
    grid = observer.qparams()
    assert grid.zero_point == -128
    assert grid.high == pytest.approx(8.0, rel=0.02)
    assert observer.histogram.saturation(grid) <= 2e-4


@pytest.mark.parametrize("name", FROM_HISTOGRAM)
def test_the_order_of_batches_does_not_matter(name: str) -> None:
    batches = [heavy_tail(seed) * 4.0**seed for seed in range(4)]
    found = []
    for order in (batches, batches[::-1]):
        observer = OBSERVERS[name]()
        for batch in order:
            observer.update(batch)
        found.append(observer.qparams())
    assert found[0] == found[1]


@pytest.mark.parametrize("percent", [99.0, 99.9, 99.99])
def test_percentiles_are_numpys(percent: float) -> None:
    values = heavy_tail()
    histogram = Histogram()
    histogram.update(values)
    low, high = percentile_range(histogram, 8, percent=percent)
    wanted = np.percentile(values.double().numpy(), [100 - percent, percent])
    assert [low, high] == pytest.approx(wanted.tolist(), rel=0.02)


def test_the_moving_average_follows_every_image_in_turn() -> None:
    images = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    observer = OBSERVERS["moving_average"]()
    for batch in torch.split(images, 5):
        observer.update(batch)
    low, high = (float(bound) for bound in torch.aminmax(images[0]))
    for image in images[1:]:
        low = 0.95 * low + 0.05 * float(image.min())
        high = 0.95 * high + 0.05 * float(image.max())
    assert observer.qparams() == choose_qparams(low, high)


def test_pams_starts_at_the_mean_of_the_images_maxima_on_both_sides() -> None:
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 4
    observer = OBSERVERS["pams"]()
    observer.update(images)
    largest = float(images.abs().amax(dim=(1, 2, 3)).mean())
    assert observer.qparams().high == pytest.approx(largest, rel=0.01)
    assert observer.qparams().low == pytest.approx(-largest, rel=0.01)


def test_entropy_finds_the_threshold_that_scipy_finds() -> None:
    values = heavy_tail()
    histogram = Histogram()
    histogram.update(values)
    largest = float(values.abs().max())
    edges = np.arange(0.0, largest + 2 * histogram.width, histogram.width)
    counts, _ = np.histogram(values.abs().double().numpy(), bins=edges)
    found = []
    for end in range(128, len(counts) + 1, 16):
        clipped = counts[:end].astype(float)
        clipped[-1] += counts[end:].sum()
        merged = np.zeros(end)
        for part in _parts(end):
            filled = counts[part] > 0
            if filled.any():
                merged[part[filled]] = counts[part].sum() / filled.sum()
        some = clipped > 0
        merged = np.maximum(merged / merged.sum(), np.finfo(float).tiny ** 0.5)
        found.append(float(rel_entr(clipped[some] / clipped.sum(), merged[some]).sum()))
    wanted = (128 + 16 * int(np.argmin(found))) * histogram.width
    high = entropy_range(histogram, 8)[1]
    assert high == pytest.approx(min(wanted, float(values.max())), rel=0.03)
    assert high < 0.9 * histogram.high


def _parts(end: int) -> list[NDArray[np.int64]]:
    numbers = np.arange(end) * 128 // end
    return [np.flatnonzero(numbers == level) for level in range(128)]


@pytest.mark.parametrize(("sign", "sides"), [(1.0, 2), (1.0, 1), (-1.0, 1)])
def test_dobi_is_the_best_of_its_hundred_candidates(sign: float, sides: int) -> None:
    values = heavy_tail() if sides == 2 else sign * heavy_tail().abs()
    histogram = Histogram()
    histogram.update(values)
    low, high = histogram.low, histogram.high
    steps = (high - low) / 100.0
    ranges = [
        (low + steps * i / 2, high - steps * i / 2)
        if sides == 2
        else ((low, high - steps * i) if sign > 0 else (low + steps * i, high))
        for i in range(100)
    ]
    brute = min(
        squared_error(values, choose_qparams(*one)) for one in ranges if one[0] <= 0 <= one[1]
    )
    found = squared_error(values, choose_qparams(*dobi_range(histogram, 8)))
    assert found == pytest.approx(brute, rel=0.02)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_a_narrow_grid_clips_more(bits: int) -> None:
    observer = OBSERVERS["histogram_mse"]()
    observer.update(heavy_tail())
    grid = observer.qparams(bits)
    assert (grid.code_min, grid.code_max) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if bits < 8:
        assert grid.high < observer.qparams(bits + 2).high


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
    mse, minmax = OBSERVERS["histogram_mse"](), OBSERVERS["minmax"]()
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
    assert 0 < mse.histogram.saturation(mse.qparams()) < 0.01


def test_one_long_side_is_cut_without_the_other() -> None:
    values = torch.cat([torch.rand(1_000_000) * 4 - 2, torch.tensor([20.0])])
    observer = OBSERVERS["histogram_mse"]()
    observer.update(values)
    grid = observer.qparams()
    assert grid.low == pytest.approx(-2.0, rel=0.1)
    assert 2.0 < grid.high < 15.0


def test_a_tensor_that_is_always_zero_has_a_grid() -> None:
    for make in OBSERVERS.values():
        observer = make()
        observer.update(torch.zeros(2, 10))
        assert observer.qparams().scale > 0


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(GraphError, match="want finite ones"):
        OBSERVERS["minmax"]().update(torch.tensor([[1.0, float("nan")]]))
