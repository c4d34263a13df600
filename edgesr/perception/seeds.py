"""Several answers to one image: how much they differ, and how near they stay to another sampler."""

from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.metrics import psnr

_STACK_AXES = 4
_FEWEST = 2


def diversity(samples: NDArray[np.uint8]) -> float:
    """Return the standard deviation over seeds in grey levels, averaged over pixels and channels.

    0 means that the seed decides nothing. The deviation is that of a sample (``n - 1``).

    Args:
        samples: ``(n, h, w, 3)`` RGB uint8 from one image and ``n`` seeds, ``n`` at least 2.

    Raises:
        DataError: another shape or type, or fewer than 2 samples.
    """
    _check(samples)
    if len(samples) < _FEWEST:
        raise DataError(f"diversity of {len(samples)} sample: want at least {_FEWEST} seeds")
    return float(np.std(samples.astype(np.float64), axis=0, ddof=1).mean())


def psnr_at_equal_noise(samples: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    """Return the mean PSNR in dB of ``samples`` to ``wanted``, made from the same noise in pairs.

    For quantized against float samplers: at other noise the two would differ by the diversity of
    the sampler, not by its quantization. RGB, no border; one equal pair makes the mean
    infinite.

    Args:
        samples: ``(n, h, w, 3)`` RGB uint8.
        wanted: the same, sample ``i`` from the noise of sample ``i``.

    Raises:
        DataError: another shape or type, or shapes that differ.
    """
    _check(samples)
    _check(wanted)
    if samples.shape != wanted.shape:
        raise DataError(f"cannot compare {samples.shape} with {wanted.shape}; want equal shapes")
    pairs = zip(samples.astype(np.float64), wanted.astype(np.float64), strict=True)
    return fmean(psnr(one, other) for one, other in pairs)


def _check(samples: NDArray[np.uint8]) -> None:
    if samples.dtype != np.uint8 or samples.ndim != _STACK_AXES or not samples.size:
        raise DataError(f"samples are {samples.dtype} {samples.shape}; want uint8 (n, h, w, 3)")
