"""Gradient magnitude similarity deviation."""

import numpy as np

from edgesr.errors import DataError
from edgesr.perception.windows import Plane, halve

_C = 170.0
SMALLEST_SIDE = 6


def gmsd(sr: Plane, hr: Plane) -> float:
    """Return the standard deviation over the image of the similarity of gradients; 0 when equal.

    Both planes are halved by means of 2x2 pixels; gradients are Prewitt's, divided by 3, where the
    mask lies wholly inside. The deviation is that of the population. A higher value means that
    some places look worse than others.

    Raises:
        DataError: a side is under 6 pixels.

    Source: Xue, Zhang, Mou, Bovik 2014, arXiv 1308.3052, eq. 1 to 6.
    """
    if min(hr.shape) < SMALLEST_SIDE:
        height, width = hr.shape
        raise DataError(f"GMSD wants at least {SMALLEST_SIDE} pixels a side, came {width}x{height}")
    of_sr, of_hr = _gradient(halve(sr)), _gradient(halve(hr))
    similarity = (2 * of_sr * of_hr + _C) / (of_sr**2 + of_hr**2 + _C)  # eq. 4
    return float(np.std(similarity))  # eq. 6


def _gradient(plane: Plane) -> Plane:
    across = (plane[:, 2:] - plane[:, :-2]) / 3
    down = (plane[2:] - plane[:-2]) / 3
    horizontal = across[:-2] + across[1:-1] + across[2:]
    vertical = down[:, :-2] + down[:, 1:-1] + down[:, 2:]
    return np.asarray(np.hypot(horizontal, vertical), dtype=np.float64)
