"""Blur kernels of blind super-resolution: Gaussian family, plateau, sinc; and their convolution.

A kernel is ``(size, size)`` float64 with an odd size and the sum 1. Widths are in pixels, angles in
radians from the x axis, frequencies in radians a pixel.

Source: Wang, Xie, Dong, Shan 2021, arXiv 2107.10833, section 3; generalized Gaussian and plateau
from Liu, Huang, Chen, Sun 2020, arXiv 2005.10547.
"""

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError

Kernel = NDArray[np.float64]
_BESSEL_NODES = 192
_SMOOTH = (2, 3, 5)


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, angle: float = 0.0) -> Kernel:
    """Return a Gaussian kernel; equal sigmas make it isotropic.

    Raises:
        DataError: an even size, or a sigma that is not positive.
    """
    return generalized_gaussian_kernel(size, sigma_x, sigma_y, angle, beta=1.0)


def generalized_gaussian_kernel(
    size: int, sigma_x: float, sigma_y: float, angle: float = 0.0, *, beta: float
) -> Kernel:
    """Return ``exp(-q**beta / 2)`` of the quadratic form ``q``: below 1 peaked, above 1 flat.

    Raises:
        DataError: an even size, or a sigma that is not positive.
    """
    form = _quadratic_form(size, sigma_x, sigma_y, angle)
    return _normalized(np.exp(-0.5 * form**beta))


def plateau_kernel(
    size: int, sigma_x: float, sigma_y: float, angle: float = 0.0, *, beta: float
) -> Kernel:
    """Return ``1 / (1 + q**beta)`` of the quadratic form ``q``: flat in the middle, long tails.

    Raises:
        DataError: an even size, or a sigma that is not positive.
    """
    form = _quadratic_form(size, sigma_x, sigma_y, angle)
    return _normalized(1 / (1 + form**beta))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """Return a circular low-pass kernel, which rings at edges as sharpening and JPEG do.

    Args:
        size: odd side.
        cutoff: highest frequency that passes, radians a pixel, above 0 and up to pi.

    Raises:
        DataError: an even size, or a cutoff out of range.
    """
    if not 0 < cutoff <= np.pi:
        raise DataError(f"sinc cutoff is {cutoff}, want above 0 and at most pi radians a pixel")
    x, y = _grid(size)
    radius = np.hypot(x, y)
    centre = radius == 0
    safe = np.where(centre, 1.0, radius)
    values = cutoff * _bessel_j1(cutoff * safe) / (2 * np.pi * safe)
    return _normalized(np.where(centre, cutoff**2 / (4 * np.pi), values))


def blur(image: NDArray[np.float32], kernel: Kernel) -> NDArray[np.float32]:
    """Convolve ``(h, w, c)`` with a point-symmetric ``kernel``; the border is mirrored.

    Computed by FFT, which is one thread in numpy: the same bits in every process.
    """
    size = kernel.shape[0]
    reach = size // 2
    height, width = image.shape[:2]
    planes = np.moveaxis(image, -1, 0)  # FFTs of rows that lie together are faster
    padded = np.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    shape = (_fast_length(padded.shape[1]), _fast_length(padded.shape[2]))
    spectrum = np.fft.rfft2(padded, s=shape) * np.fft.rfft2(kernel.astype(np.float32), s=shape)
    whole = np.fft.irfft2(spectrum, s=shape)
    inside = whole[:, size - 1 : size - 1 + height, size - 1 : size - 1 + width]
    return np.ascontiguousarray(np.moveaxis(inside, 0, -1), dtype=np.float32)


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if size < 1 or size % 2 == 0:
        raise DataError(f"kernel size is {size}, want an odd number of pixels")
    offsets = np.arange(size, dtype=np.float64) - size // 2
    return offsets[None, :], offsets[:, None]


def _quadratic_form(size: int, sigma_x: float, sigma_y: float, angle: float) -> NDArray[np.float64]:
    """Return ``C^T inverse(Sigma) C`` for every offset ``C``: the squared distance in sigmas."""
    if sigma_x <= 0 or sigma_y <= 0:
        raise DataError(f"blur sigmas are {sigma_x} and {sigma_y}, want more than 0 pixels")
    x, y = _grid(size)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    return np.asarray((along / sigma_x) ** 2 + (across / sigma_y) ** 2, dtype=np.float64)


def _normalized(values: NDArray[np.float64]) -> Kernel:
    return np.asarray(values / values.sum(), dtype=np.float64)


def _bessel_j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Bessel function of the first kind and first order, for ``|x|`` up to 100.

    The trapezoidal rule on Bessel's integral converges faster than any power of the step, because
    the integrand is periodic; it saves the core a dependency on SciPy.
    """
    angles = 2 * np.pi * np.arange(_BESSEL_NODES) / _BESSEL_NODES
    integrand = np.cos(angles - x[..., None] * np.sin(angles))
    return np.asarray(integrand.mean(axis=-1), dtype=np.float64)


def _fast_length(least: int) -> int:
    """Return the smallest number from ``least`` on that has no prime factor above 5."""
    length = least
    while True:
        rest = length
        for prime in _SMOOTH:
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
