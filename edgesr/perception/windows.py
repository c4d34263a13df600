"""Gaussian windows that lie wholly inside a plane."""

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
"""``(h, w)`` luma as ``edgesr.metrics.luma`` gives it: [16, 235] on the scale of 0 to 255."""


def gaussian_window(size: int, sigma: float) -> NDArray[np.float64]:
    """Return ``(size,)`` weights with the sum 1; the window is their outer product."""
    offsets = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def filter_inside(plane: Plane, window: NDArray[np.float64]) -> Plane:
    """Filter both axes with ``window``; each side gets shorter by ``len(window) - 1``."""
    rows = plane.shape[0] - len(window) + 1
    columns = plane.shape[1] - len(window) + 1
    high = sum(weight * plane[k : k + rows] for k, weight in enumerate(window))
    wide = sum(weight * high[:, k : k + columns] for k, weight in enumerate(window))
    return np.asarray(wide, dtype=np.float64)


def halve(plane: Plane) -> Plane:
    """Return the means of blocks of 2x2 pixels; an odd last row or column is left out."""
    height, width = plane.shape[0] // 2, plane.shape[1] // 2
    blocks = plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float64)
