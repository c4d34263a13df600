"""Plain resizing as degradations use it: area, bilinear and bicubic, without antialiasing.

Bilinear and bicubic look at 2 and 4 source pixels a side however much they shrink, so they alias;
that is part of what a network shall learn to undo. The definitions are those of PyTorch's
``interpolate`` (half-pixel centres, cubic coefficient -0.75, area by whole source pixels), which
the published chain calls. ``edgesr.imresize`` is the other one: MATLAB's, antialiased.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError

Resampling = Literal["area", "bilinear", "bicubic"]
RESAMPLINGS: tuple[Resampling, ...] = ("area", "bilinear", "bicubic")
_A = -0.75


def resample(
    image: NDArray[np.float32], shape: tuple[int, int], method: Resampling
) -> NDArray[np.float32]:
    """Resize ``(h, w, c)`` to ``shape``; values are neither rounded nor clipped.

    Raises:
        DataError: a side below one pixel, or an unknown method.
    """
    if method not in RESAMPLINGS:
        raise DataError(f"resampling {method!r} is unknown; use one of {', '.join(RESAMPLINGS)}")
    if min(*shape, *image.shape[:2]) < 1:
        raise DataError(f"resample from {image.shape[:2]} to {shape}: a side is below one pixel")
    for axis in (0, 1):
        if image.shape[axis] != shape[axis]:
            image = _resample_axis(image, axis, shape[axis], method)
    return image


def _resample_axis(
    image: NDArray[np.float32], axis: int, length: int, method: Resampling
) -> NDArray[np.float32]:
    indices, weights = _taps(image.shape[axis], length, method)
    moved = np.moveaxis(image, axis, 0)
    total = np.zeros((length, *moved.shape[1:]), dtype=np.float32)
    for tap in range(indices.shape[1]):  # sums tap by tap: no BLAS, so the order is always the same
        total += weights[:, tap, None, None] * moved[indices[:, tap]]
    return np.moveaxis(total, 0, axis)


@lru_cache(maxsize=256)
def _taps(
    size: int, length: int, method: Resampling
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return source indices and weights, both ``(length, taps)``, for one axis."""
    position = np.arange(length)
    if method == "area":
        first = position * size // length
        end = -(-(position + 1) * size // length)
        taps = first[:, None] + np.arange(int((end - first).max()))
        weights = (taps < end[:, None]) / (end - first)[:, None]
    else:
        centre = (position + 0.5) * (size / length) - 0.5
        reach = 1 if method == "bilinear" else 2
        taps = np.floor(centre).astype(np.intp)[:, None] + np.arange(1 - reach, reach + 1)
        distance = np.abs(centre[:, None] - taps)
        weights = 1 - distance if method == "bilinear" else _cubic(distance)
    return np.clip(taps, 0, size - 1), weights.astype(np.float32)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic convolution kernel. Source: Keys 1981, doi:10.1109/TASSP.1981.1163711."""
    near = (_A + 2) * distance**3 - (_A + 3) * distance**2 + 1
    far = _A * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, far)
