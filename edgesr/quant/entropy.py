"""Range with the least relative entropy, as TensorRT calibrates classifiers.

It is here to compare with other toolkits. It favours the bulk of the values over their ends, and
the ends of an image are its highlights and shadows.
"""

import numpy as np
import numpy.typing as npt

from edgesr.quant.histogram import Histogram

_LEVELS = 128
_STRIDE = 16


def entropy_range(histogram: Histogram, bits: int) -> tuple[float, float]:
    """Return ``(low, high)``, symmetric round 0 but for ends that the values do not reach.

    Of the thresholds T = 128, 144, ... bins of ``|x|``, up to all of them, the one wins whose
    values, clipped at T and merged to 128 levels, are closest to the unmerged ones in relative
    entropy.

    Args:
        histogram: values seen.
        bits: width of the codes; ``2 ** (bits - 1)`` levels.

    Source: Migacz 2017, "8-bit Inference with TensorRT", GTC, slides 30-38.
    """
    counts = _magnitudes(histogram)
    levels = min(_LEVELS, 1 << (bits - 1))
    ends = range(levels, len(counts) + 1, _STRIDE)
    divergences = [_divergence(counts, end, levels) for end in ends]
    if not divergences:
        return histogram.low, histogram.high
    threshold = ends[int(np.argmin(divergences))] * histogram.width
    return max(histogram.low, -threshold), min(histogram.high, threshold)


def _magnitudes(histogram: Histogram) -> npt.NDArray[np.float64]:
    """Return counts of ``|x|`` in the histogram's bins, without exact zeros."""
    numbers = np.arange(len(histogram.counts)) + histogram.first
    sizes = np.where(numbers < 0, -numbers - 1, numbers)
    counts = np.bincount(sizes, weights=histogram.counts) if len(sizes) else np.zeros(0)
    return counts.astype(np.float64)


def _divergence(counts: npt.NDArray[np.float64], end: int, levels: int) -> float:
    """Return the relative entropy of the counts below ``end``, the rest clipped onto the last."""
    wanted = counts[:end].copy()
    wanted[-1] += counts[end:].sum()
    edges = np.arange(end) * levels // end
    sums = np.bincount(edges, weights=counts[:end], minlength=levels)
    filled = np.bincount(edges, weights=counts[:end] > 0, minlength=levels)
    spread = np.where(counts[:end] > 0, sums[edges] / np.maximum(filled[edges], 1.0), 0.0)
    if not spread.sum() > 0:
        return np.inf
    p, q = wanted / wanted.sum(), spread / spread.sum()
    some = p > 0
    floor = np.finfo(np.float64).tiny ** 0.5
    return float((p[some] * np.log(p[some] / np.maximum(q[some], floor))).sum())
