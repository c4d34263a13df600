"""edgesr.perception.gmsd against SciPy's convolution, and by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from edgesr.errors import DataError
from edgesr.metrics import luma
from edgesr.perception.gmsd import gmsd

Photo = Callable[..., NDArray[np.uint8]]


def slow_gmsd(sr: NDArray[np.float64], hr: NDArray[np.float64]) -> float:
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    maps = []
    for image in (sr, hr):
        small = signal.convolve2d(image, np.full((2, 2), 0.25), mode="valid")[::2, ::2]
        across = signal.convolve2d(small, prewitt, mode="valid")
        down = signal.convolve2d(small, prewitt.T, mode="valid")
        maps.append(np.sqrt(across**2 + down**2))
    similarity = (2 * maps[0] * maps[1] + 170) / (maps[0] ** 2 + maps[1] ** 2 + 170)
    return float(np.sqrt(np.mean((similarity - similarity.mean()) ** 2)))


def test_values_are_those_of_a_slow_computation(photo: Photo) -> None:
    hr = luma(photo(61, 74, 2))
    sr = hr + np.random.default_rng(0).normal(0, 15, hr.shape)
    assert gmsd(sr, hr) == pytest.approx(slow_gmsd(sr, hr), abs=1e-12)
    assert gmsd(sr, hr) > 0.02


def test_equal_images_have_0_and_so_has_an_equal_loss_everywhere() -> None:
    slope = np.add.outer(np.zeros(40), 2.0 * np.arange(50))
    assert gmsd(slope, slope) == 0
    assert gmsd(0.5 * slope, slope) == pytest.approx(0, abs=1e-12)


def test_a_loss_in_half_of_the_image_is_half_of_its_step() -> None:
    """Similarity is 1 on one half, 170 / (g^2 + 170) on the other; g = 4 a pixel, halved 8."""
    hr = np.add.outer(np.zeros(400), 4.0 * np.arange(80))
    sr = hr.copy()
    sr[200:] = 100
    low = 170 / ((2 * 8.0) ** 2 + 170)  # Prewitt spans two pixels of the halved image
    assert gmsd(sr, hr) == pytest.approx((1 - low) / 2, rel=0.02)


def test_tiny_images_are_refused() -> None:
    with pytest.raises(DataError, match="at least 6 pixels a side, came 9x5"):
        gmsd(np.zeros((5, 9)), np.zeros((5, 9)))
