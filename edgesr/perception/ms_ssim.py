"""Multi-scale structural similarity."""

import numpy as np

from edgesr.errors import DataError
from edgesr.perception.windows import Plane, filter_inside, gaussian_window, halve

_PEAK = 255.0
_C1 = (0.01 * _PEAK) ** 2
_C2 = (0.03 * _PEAK) ** 2
_WINDOW = gaussian_window(11, 1.5)
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST_SIDE = len(_WINDOW) << (len(_WEIGHTS) - 1)


def ms_ssim(sr: Plane, hr: Plane) -> float:
    """Return the multi-scale structural similarity of two ``(h, w)`` planes, in [0, 1].

    Five scales, each half of the one before by means of 2x2 pixels; contrast and structure are
    averaged over the image at every scale, luminance joins them at the coarsest. A negative average
    counts as 0, for its power is not a real number.

    Raises:
        DataError: a side is under 176 pixels, where the coarsest scale is smaller than the window.

    Source: Wang, Simoncelli, Bovik 2003, doi:10.1109/ACSSC.2003.1292216, eq. 7.
    """
    height, width = hr.shape
    if min(hr.shape) < SMALLEST_SIDE:
        raise DataError(
            f"MS-SSIM wants at least {SMALLEST_SIDE} pixels a side, came {width}x{height}; leave "
            "out smaller images, or name other metrics with --metric"
        )
    product = 1.0
    for number, weight in enumerate(_WEIGHTS, start=1):
        full, contrast_structure = ssim_terms(sr, hr)
        term = full if number == len(_WEIGHTS) else contrast_structure
        product *= max(term, 0.0) ** weight  # eq. 7
        sr, hr = halve(sr), halve(hr)
    return product


def ssim_terms(sr: Plane, hr: Plane) -> tuple[float, float]:
    """Return the means of SSIM and of its contrast-structure part at one scale.

    Window of 11x11 with sigma 1.5 wholly inside the image, K1 = 0.01, K2 = 0.03, peak 255.
    """
    mean_sr, mean_hr = filter_inside(sr, _WINDOW), filter_inside(hr, _WINDOW)
    product, power = mean_sr * mean_hr, mean_sr**2 + mean_hr**2
    variances = filter_inside(sr * sr + hr * hr, _WINDOW) - power
    covariance = filter_inside(sr * hr, _WINDOW) - product
    contrast_structure = (2 * covariance + _C2) / (variances + _C2)
    luminance = (2 * product + _C1) / (power + _C1)
    return float(np.mean(luminance * contrast_structure)), float(np.mean(contrast_structure))
