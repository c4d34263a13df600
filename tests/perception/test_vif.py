"""edgesr.perception.vif against a slow computation with two-dimensional windows."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from edgesr.errors import DataError
from edgesr.metrics import luma
from edgesr.perception.vif import vif

Photo = Callable[..., NDArray[np.uint8]]


def slow_vif(sr: NDArray[np.float64], hr: NDArray[np.float64]) -> float:
    kept = whole = 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        offsets = np.arange(size) - size // 2
        window = np.exp(-np.add.outer(offsets**2, offsets**2) / (2 * (size / 5) ** 2))
        window /= window.sum()

        def mean(
            x: NDArray[np.float64], window: NDArray[np.float64] = window
        ) -> NDArray[np.float64]:
            views = sliding_window_view(x, window.shape)
            return np.asarray(np.einsum("hwij,ij->hw", views, window))

        if scale > 1:
            sr, hr = mean(sr)[::2, ::2], mean(hr)[::2, ::2]
        var_sr, var_hr = mean(sr**2) - mean(sr) ** 2, mean(hr**2) - mean(hr) ** 2
        covariance = mean(sr * hr) - mean(sr) * mean(hr)
        for v_sr, v_hr, cov in zip(var_sr.flat, var_hr.flat, covariance.flat, strict=True):
            gain = float(cov / v_hr)
            noise = float(v_sr - gain * cov)
            if gain < 0:
                gain, noise = 0.0, float(v_sr)
            kept += float(np.log10(1 + gain**2 * v_hr / (max(noise, 0.0) + 2)))
            whole += float(np.log10(1 + v_hr / 2))
    return kept / whole


def test_values_are_those_of_a_slow_computation(photo: Photo) -> None:
    hr = luma(photo(60, 75, 1))
    noisy = hr + np.random.default_rng(0).normal(0, 10, hr.shape)
    for sr in (noisy, ndimage.gaussian_filter(hr, 1.2), 255 - hr):
        assert vif(sr, hr) == pytest.approx(slow_vif(sr, hr), abs=1e-9)


def test_equal_images_have_1_and_stronger_contrast_more(photo: Photo) -> None:
    hr = luma(photo(60, 75))
    assert vif(hr, hr) == pytest.approx(1)
    assert vif((hr - 128) * 1.3 + 128, hr) > 1.02
    assert vif((hr - 128) * 0.7 + 128, hr) < 0.98


def test_a_flat_result_has_0_and_a_flat_original_is_refused(photo: Photo) -> None:
    hr = luma(photo(60, 75))
    flat = np.full_like(hr, 128)
    assert vif(flat, hr) == pytest.approx(0, abs=1e-9)
    with pytest.raises(DataError, match="flat reference"):
        vif(hr, flat)


def test_41_pixels_are_the_least() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (41, 41))
    assert vif(image, image) == pytest.approx(1)
    with pytest.raises(DataError, match="at least 41 pixels a side, came 60x40"):
        vif(np.zeros((40, 60)), np.zeros((40, 60)))
