"""edgesr.perception.ms_ssim against scikit-image at one scale and a slow computation at five."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from edgesr.errors import DataError
from edgesr.metrics import luma
from edgesr.perception.ms_ssim import ms_ssim, ssim_terms

Photo = Callable[..., NDArray[np.uint8]]
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def pair(photo: Photo, sigma: float = 12) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    hr = luma(photo(181, 190, 3))
    return hr + np.random.default_rng(0).normal(0, sigma, hr.shape), hr


def slow_terms(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean luminance times contrast-structure, its own mean, by two-dimensional windows."""
    offsets = np.arange(-5, 6)
    window = np.exp(-np.add.outer(offsets**2, offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("hwij,ij->hw", sliding_window_view(x, (11, 11)), window))

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a**2) - mean_a**2, mean(b**2) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = 6.5025, 58.5225
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float((light * structure).mean()), float(structure.mean()), float(light.mean())


def test_one_scale_is_the_ssim_of_scikit_image(photo: Photo) -> None:
    sr, hr = pair(photo)
    expected = structural_similarity(  # type: ignore[no-untyped-call]
        sr, hr, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim_terms(sr, hr)[0] == pytest.approx(expected, abs=1e-9)


def test_five_scales_are_those_of_a_slow_computation(photo: Photo) -> None:
    sr, hr = pair(photo, 25)
    found = ms_ssim(sr, hr)
    expected = 1.0
    for scale, weight in enumerate(WEIGHTS):
        full, structure, _ = slow_terms(sr, hr)
        expected *= (full if scale == 4 else structure) ** weight
        height, width = sr.shape[0] // 2 * 2, sr.shape[1] // 2 * 2
        corners = [(i, j) for i in (0, 1) for j in (0, 1)]
        sr = np.mean([sr[i:height:2, j:width:2] for i, j in corners], axis=0)
        hr = np.mean([hr[i:height:2, j:width:2] for i, j in corners], axis=0)
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0.5 < found < 0.99


def test_equal_images_have_1_and_a_shift_of_light_costs_little(photo: Photo) -> None:
    _, hr = pair(photo)
    assert ms_ssim(hr, hr) == pytest.approx(1)
    assert ms_ssim(hr + 5, hr) > 0.995


def test_an_inverted_image_has_0(photo: Photo) -> None:
    _, hr = pair(photo)
    assert ms_ssim(255 - hr, hr) == 0


def test_images_under_176_pixels_are_refused() -> None:
    small = np.zeros((175, 300))
    with pytest.raises(DataError, match="at least 176 pixels a side, came 300x175"):
        ms_ssim(small, small)
