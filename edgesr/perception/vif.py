"""Visual information fidelity in the pixel domain."""

import numpy as np

from edgesr.errors import DataError
from edgesr.perception.windows import Plane, filter_inside, gaussian_window

_WINDOWS = (17, 9, 5, 3)
_SIGMAS_A_WINDOW = 5
_VISUAL_NOISE = 2.0
_TINY = 1e-10
SMALLEST_SIDE = 41


def vif(sr: Plane, hr: Plane) -> float:
    """Return how much of the visual information of ``hr`` is in ``sr``; 1 for equal planes.

    The variant that its authors call VIFp: four scales in the pixel domain instead of a wavelet
    transform, windows of 17, 9, 5 and 3 pixels with a sigma of a fifth, visual noise of variance 2
    on the scale of 255. ``sr`` is modelled as ``g * hr`` plus noise within every window. Blur and
    noise lower the value, stronger contrast lifts it above 1.

    Raises:
        DataError: a side is under 41 pixels, or ``hr`` is flat.

    Source: Sheikh, Bovik 2006, doi:10.1109/TIP.2005.859378; on scalars in the pixel domain as
    in the authors' release of VIFp.
    """
    height, width = hr.shape
    if min(hr.shape) < SMALLEST_SIDE:
        raise DataError(f"VIF wants at least {SMALLEST_SIDE} pixels a side, came {width}x{height}")
    kept = whole = 0.0
    for number, size in enumerate(_WINDOWS):
        window = gaussian_window(size, size / _SIGMAS_A_WINDOW)
        if number:
            sr, hr = filter_inside(sr, window)[::2, ::2], filter_inside(hr, window)[::2, ::2]
        mean_sr, mean_hr = filter_inside(sr, window), filter_inside(hr, window)
        variance_sr = np.maximum(filter_inside(sr * sr, window) - mean_sr**2, 0)
        variance_hr = np.maximum(filter_inside(hr * hr, window) - mean_hr**2, 0)
        covariance = filter_inside(sr * hr, window) - mean_sr * mean_hr
        flat = variance_hr < _TINY
        gain = np.where(flat, 0, covariance / np.where(flat, 1, variance_hr))
        gain = np.maximum(gain, 0)  # what is upside down carries no information
        noise = np.maximum(variance_sr - gain * covariance, 0)
        heard = gain**2 * variance_hr / (noise + _VISUAL_NOISE)
        kept += float(np.log2(1 + heard).sum())
        whole += float(np.log2(1 + np.where(flat, 0, variance_hr) / _VISUAL_NOISE).sum())
    if whole == 0:
        raise DataError("VIF of a flat reference is not defined; leave the image out")
    return kept / whole
