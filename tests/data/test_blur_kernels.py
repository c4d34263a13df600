"""edgesr.data.blur_kernels against SciPy and by moments."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, special

from edgesr.data.blur_kernels import (
    Kernel,
    _bessel_j1,
    blur,
    gaussian_kernel,
    generalized_gaussian_kernel,
    plateau_kernel,
    sinc_kernel,
)
from edgesr.errors import DataError

KERNELS: dict[str, Kernel] = {
    "isotropic": gaussian_kernel(15, 2.0, 2.0),
    "anisotropic": gaussian_kernel(21, 3.0, 0.7, 0.6),
    "generalized": generalized_gaussian_kernel(13, 2.0, 1.0, -2.0, beta=0.6),
    "plateau": plateau_kernel(9, 1.0, 2.0, 1.0, beta=1.7),
    "narrow": gaussian_kernel(7, 0.2, 0.2),
    "sinc": sinc_kernel(21, np.pi / 4),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_have_the_sum_1_and_a_point_of_symmetry(name: str) -> None:
    kernel = KERNELS[name]
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-15)
    assert kernel.max() == kernel[kernel.shape[0] // 2, kernel.shape[0] // 2]


@pytest.mark.parametrize("name", KERNELS)
def test_blur_is_the_convolution_with_a_mirrored_border(
    name: str, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    image = photo(37, 41).astype(np.float32)
    found = blur(image, KERNELS[name])
    expected = ndimage.convolve(image.astype(np.float64), KERNELS[name][..., None], mode="mirror")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_image_smaller_than_the_kernel_is_blurred_as_well() -> None:
    image = np.full((2, 1, 3), 77, np.float32)
    np.testing.assert_allclose(blur(image, KERNELS["anisotropic"]), image, rtol=1e-5)


def test_widths_and_angle_are_those_of_the_moments() -> None:
    kernel = gaussian_kernel(41, 4.0, 2.0, np.pi / 6)
    y, x = np.mgrid[-20:21, -20:21]
    along = x * np.cos(np.pi / 6) + y * np.sin(np.pi / 6)
    across = -x * np.sin(np.pi / 6) + y * np.cos(np.pi / 6)
    assert (kernel * along**2).sum() == pytest.approx(16, rel=0.01)
    assert (kernel * across**2).sum() == pytest.approx(4, rel=0.01)
    assert (kernel * along * across).sum() == pytest.approx(0, abs=0.01)


def test_beta_1_is_a_gaussian_and_more_is_flatter_in_the_middle() -> None:
    plain = gaussian_kernel(11, 2.0, 1.5, 0.3)
    same = generalized_gaussian_kernel(11, 2.0, 1.5, 0.3, beta=1.0)
    np.testing.assert_array_equal(plain, same)
    drops = []
    for beta in (0.5, 1.0, 2.0, 4.0):
        kernel = generalized_gaussian_kernel(21, 3.0, 3.0, beta=beta)
        drops.append(kernel[10, 11] / kernel[10, 10])
    assert drops == sorted(drops)
    assert drops[-1] > 0.999
    assert plateau_kernel(21, 3.0, 3.0, beta=2.0)[10, 13] / plateau_kernel(21, 3.0, 3.0, beta=2.0)[
        10, 10
    ] == pytest.approx(0.5)


def test_bessel_is_that_of_scipy() -> None:
    x = np.linspace(0, 100, 1001)
    np.testing.assert_allclose(_bessel_j1(x), special.j1(x), atol=1e-12)


def test_sinc_passes_below_its_cutoff_and_stops_above() -> None:
    kernel = sinc_kernel(21, np.pi / 2)
    response = np.abs(np.fft.fft2(kernel, s=(64, 64)))
    assert response[0, :13].min() > 0.8  # ripples, for it is cut off at 21 pixels
    assert response[0, 18:33].max() < 0.1
    step = np.zeros((32, 64, 3), np.float32)
    step[:, 32:] = 200
    assert blur(step, kernel).max() > 205  # rings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian_kernel(8, 1.0, 1.0), "kernel size is 8, want an odd"),
        (lambda: plateau_kernel(7, 0.0, 1.0, beta=1.0), "want more than 0 pixels"),
        (lambda: sinc_kernel(7, 0.0), "above 0 and at most pi"),
        (lambda: sinc_kernel(7, 3.2), "above 0 and at most pi"),
    ],
)
def test_bad_parameters_are_refused(make: Callable[[], Kernel], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
