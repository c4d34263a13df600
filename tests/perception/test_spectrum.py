"""edgesr.perception.spectrum on waves computed by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.metrics import luma
from edgesr.perception.spectrum import (
    high_frequency_ratio,
    power_spectrum,
    radial_power,
    spectrum_distance_db,
)

Photo = Callable[..., NDArray[np.uint8]]
SIDE = 128


def wave(cycles: int, amplitude: float = 40.0) -> NDArray[np.float64]:
    """A horizontal sine of whole periods around 128."""
    x = np.arange(SIDE)
    return np.tile(128 + amplitude * np.sin(2 * np.pi * cycles * x / SIDE), (SIDE, 1))


def test_the_power_of_a_wave_is_half_its_squared_amplitude_at_its_frequency() -> None:
    power = power_spectrum(wave(40))
    assert power.mean() == pytest.approx(40**2 / 2, rel=1e-6)
    frequency = np.abs(np.fft.fftfreq(SIDE))
    at_wave = np.abs(frequency[None, :] * SIDE - 40) <= 2
    assert (power * at_wave * (frequency[:, None] * SIDE <= 2)).sum() / power.sum() > 0.999


def test_the_power_of_white_noise_is_flat_and_its_variance() -> None:
    noise = np.random.default_rng(0).normal(128, 5, (256, 256))
    edges, rings = radial_power(noise)
    assert len(edges) == 64
    np.testing.assert_allclose(rings[8:], 25, rtol=0.25)
    assert power_spectrum(noise).mean() == pytest.approx(25, rel=0.05)


def test_half_the_amplitude_is_a_quarter_of_the_energy_and_6_db() -> None:
    hr = wave(10) + wave(40) - 128
    sr = wave(10) + wave(40, 20) - 128
    assert high_frequency_ratio(sr, hr, cutoff=1 / 6) == pytest.approx(0.25, rel=1e-3)
    _, of_hr = radial_power(hr)
    _, of_sr = radial_power(sr)
    ring = int(40 / SIDE / 0.5 * 64)
    assert of_hr[ring] / of_sr[ring] == pytest.approx(4, rel=1e-3)
    loud = np.random.default_rng(0).normal(128, 30, (SIDE, SIDE))
    halved = 128 + (loud - 128) / 2
    distance = spectrum_distance_db(halved, loud, cutoff=0.25)
    assert distance == pytest.approx(20 * np.log10(2), abs=0.01)


def test_a_wave_below_the_cutoff_is_not_seen(photo: Photo) -> None:
    hr = luma(photo(SIDE, SIDE))
    sr = hr + wave(10) - 128
    assert high_frequency_ratio(sr, hr, cutoff=0.25) == pytest.approx(1, abs=1e-3)
    assert high_frequency_ratio(sr, hr, cutoff=0.05) > 1.2


def test_equal_images_have_ratio_1_and_distance_0(photo: Photo) -> None:
    hr = luma(photo(50, 70))
    assert high_frequency_ratio(hr, hr, cutoff=0.25) == 1
    assert spectrum_distance_db(hr, hr, cutoff=0.25) == 0


def test_a_step_of_light_changes_nothing(photo: Photo) -> None:
    hr = luma(photo(50, 70))
    assert high_frequency_ratio(hr + 20, hr, cutoff=0.25) == pytest.approx(1)
    assert spectrum_distance_db(hr + 20, hr, cutoff=0.25) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("cutoff", [0.0, 0.5])
def test_a_cutoff_out_of_range_is_refused(cutoff: float) -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (32, 32))
    for measure in (high_frequency_ratio, spectrum_distance_db):
        with pytest.raises(DataError, match=r"above 0 and below 0\.5"):
            measure(plane, plane, cutoff=cutoff)


def test_small_or_flat_originals_are_refused() -> None:
    flat = np.full((32, 32), 128.0)
    with pytest.raises(DataError, match=r"no detail above 0\.25 cycles a pixel"):
        high_frequency_ratio(wave(4)[:32, :32], flat, cutoff=0.25)
    with pytest.raises(DataError, match="at least 16 pixels a side, came 32x15"):
        spectrum_distance_db(flat[:15], flat[:15], cutoff=0.25)
