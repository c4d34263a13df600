"""Range of a tensor from its histogram: full, percentile, least error, DOBI.

Every function takes a histogram and the width of the codes and returns ``(low, high)`` in real
units, low at most 0 and high at least 0.
"""

import numpy as np
import numpy.typing as npt

from edgesr.quant.affine import choose_qparams
from edgesr.quant.histogram import Histogram

Range = tuple[float, float]

_SHRINKS: npt.NDArray[np.float64] = 1.0 - 0.01 * np.arange(80, dtype=np.float64)
_NARROW_SHRINKS: npt.NDArray[np.float64] = 1.0 - 0.01 * np.arange(96, dtype=np.float64)
_WIDE_CODES = 8
_SWEEPS = 2
_DOBI_STEPS = 100
_ONE_SIDED = 0.01


def full_range(histogram: Histogram, _bits: int) -> Range:
    """Return the smallest and the largest value seen."""
    return histogram.low, histogram.high


def percentile_range(histogram: Histogram, _bits: int, *, percent: float = 99.99) -> Range:
    """Return the range between two percentiles, ``100 - percent`` and ``percent``.

    Args:
        histogram: values seen.
        percent: share of values below the upper end, and above the lower one.
    """
    centres = np.append(histogram.centres(), 0.0)
    counts = np.append(histogram.counts, histogram.zeros)
    order = np.argsort(centres, kind="stable")
    below = np.cumsum(counts[order])
    ends = np.searchsorted(below, below[-1] * np.array([1.0 - percent / 100.0, percent / 100.0]))
    low, high = centres[order][np.minimum(ends, len(order) - 1)]
    half = histogram.width / 2.0
    return max(histogram.low, min(low - half, 0.0)), min(histogram.high, max(high + half, 0.0))


def least_error_range(histogram: Histogram, bits: int, *, norm: float = 2.0) -> Range:
    """Return the range with the smallest mean ``|error| ** norm``, both ends searched apart.

    Args:
        histogram: values seen.
        bits: width of the codes.
        norm: 2 for the squared error; larger numbers clip less.

    Source: the search of Li et al. 2021 (BRECQ, arXiv 2102.05426), two-sided here, because one end
    is 0 behind a ReLU and the other has a long tail.
    """
    shrinks = _SHRINKS if bits >= _WIDE_CODES else _NARROW_SHRINKS
    low, high = histogram.low, histogram.high
    for _ in range(_SWEEPS):
        lows, highs = np.full(len(shrinks), low), histogram.high * shrinks
        high = float(highs[_errors(histogram, lows, highs, bits, norm).argmin()])
        lows, highs = histogram.low * shrinks, np.full(len(shrinks), high)
        low = float(lows[_errors(histogram, lows, highs, bits, norm).argmin()])
    return low, high


def dobi_range(histogram: Histogram, bits: int) -> Range:
    """Return the range of the distribution-oriented bound initialization.

    Values on both sides of 0: both ends move in together, by 1/200 of the range a step. Values on
    one side: the end at 0 stays and the other moves by 1/100. The least squared error wins.

    Source: Liu, Dong, Ma, et al. 2024, "2DQuant", arXiv 2406.06649, algorithm 1.
    """
    low, high = histogram.low, histogram.high
    span = high - low
    steps = np.arange(_DOBI_STEPS, dtype=np.float64) / _DOBI_STEPS
    if min(-low, high) > _ONE_SIDED * span:
        lows, highs = low + span * steps / 2.0, high - span * steps / 2.0
        inside = (lows <= 0.0) & (highs >= 0.0)
        lows, highs = lows[inside], highs[inside]
    elif high > -low:
        lows, highs = np.full(len(steps), low), high - span * steps
    else:
        lows, highs = low + span * steps, np.full(len(steps), high)
    best = int(_errors(histogram, lows, highs, bits, 2.0).argmin())
    return float(lows[best]), float(highs[best])


def _errors(
    histogram: Histogram,
    lows: npt.NDArray[np.float64],
    highs: npt.NDArray[np.float64],
    bits: int,
    norm: float,
) -> npt.NDArray[np.float64]:
    """Return the sum of ``|error| ** norm`` for every pair of ends."""
    filled = histogram.counts > 0
    centres, counts = histogram.centres()[filled], histogram.counts[filled]
    pairs = zip(lows, np.maximum(highs, lows), strict=True)
    grids = [choose_qparams(min(low, 0.0), max(high, 0.0), bits=bits) for low, high in pairs]
    scales = np.array([[grid.scale] for grid in grids], np.float64)
    zeros = np.array([[grid.zero_point] for grid in grids], np.float64)
    codes = np.rint(centres / scales) + zeros
    codes = codes.clip(grids[0].code_min, grids[0].code_max)
    errors: npt.NDArray[np.float64] = np.abs(centres - (codes - zeros) * scales) ** norm @ counts
    return errors
