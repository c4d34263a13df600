"""edgesr.data.noise by its moments."""

import numpy as np
import pytest

from edgesr.data.noise import gaussian_noise, poisson_noise


def flat(level: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.full((150, 200, 3), level, np.float32)


@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("sigma", [1.0, 12.5, 30.0])
def test_gaussian_noise_has_the_deviation_that_was_asked_for(sigma: float, *, grey: bool) -> None:
    noisy = gaussian_noise(flat(128), sigma, np.random.default_rng(0), grey=grey)
    assert noisy.dtype == np.float32
    assert noisy.std() == pytest.approx(sigma, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize("grey", [True, False])
def test_poisson_variance_grows_with_the_level_and_the_square_of_the_scale(*, grey: bool) -> None:
    for level in (4, 16, 64, 250):
        for scale in (0.5, 1.0, 3.0):
            noisy = poisson_noise(flat(level), scale, np.random.default_rng(1), grey=grey)
            assert noisy.var() == pytest.approx(scale**2 * level, rel=0.06)
            assert noisy.mean() == pytest.approx(level, abs=0.5)


def test_grey_noise_is_the_same_in_all_channels() -> None:
    for add in (gaussian_noise, poisson_noise):
        grey = add(flat(100), 2.0, np.random.default_rng(2), grey=True)
        assert np.ptp(grey, axis=-1).max() == 0
        colour = add(flat(100), 2.0, np.random.default_rng(2), grey=False)
        planes = colour.reshape(-1, 3).T
        assert np.abs(np.corrcoef(planes) - np.eye(3)).max() < 0.02


def test_poisson_noise_takes_levels_outside_the_range_for_its_ends() -> None:
    assert (poisson_noise(flat(-20), 3.0, np.random.default_rng(3), grey=False) == -20).all()
    noisy = poisson_noise(flat(300), 1.0, np.random.default_rng(3), grey=False)
    assert noisy.var() == pytest.approx(255, rel=0.05)
