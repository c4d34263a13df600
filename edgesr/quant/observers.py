"""Find the range of a tensor from the values that it takes during calibration."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.errors import GraphError
from edgesr.quant.affine import choose_qparams, dequantize, quantize
from edgesr.quant.scheme import CODE_MAX, CODE_MIN, QParams

MIN_BINS = 2048
MAX_BINS = 2 * MIN_BINS
_SHRINKS: npt.NDArray[np.float64] = 1.0 - 0.01 * np.arange(80, dtype=np.float64)
_SWEEPS = 2


class Observer(Protocol):
    """Sees the values of one tensor and then names its grid."""

    def update(self, values: Tensor) -> None:
        """Take in the float32 values of one batch, any shape."""

    def qparams(self) -> QParams:
        """Return the grid for what was seen."""

    def saturation(self, qparams: QParams) -> float:
        """Return the share of values, 0 to 1, that ``qparams`` cannot represent within a step."""

    def mean_squared_error(self, qparams: QParams) -> float:
        """Return the mean squared difference between what was seen and its value on the grid."""


class Histogram:
    """Counts of values in bins of one width, a power of two; 0 itself is counted apart.

    The bins grow with the range: when more than 4096 would be needed, neighbours merge and the
    width doubles, so that between 2048 and 4096 cover the range whatever the order of batches.

    Attributes:
        width: of a bin; 0 until a value other than 0 was seen.
        first: number of the lowest bin; bin ``k`` covers ``[k * width, (k + 1) * width)``.
        counts: values per bin.
        zeros: values that were exactly 0.
        low: smallest value, or 0.
        high: largest value, or 0.
    """

    def __init__(self) -> None:
        self.width = 0.0
        self.first = 0
        self.counts: npt.NDArray[np.float64] = np.zeros(0)
        self.zeros = 0
        self.low = 0.0
        self.high = 0.0

    def update(self, values: Tensor) -> None:
        """Count the values of one batch.

        Raises:
            GraphError: a value is NaN or infinite.
        """
        low, high = (float(bound) for bound in torch.aminmax(values))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise GraphError(f"calibration saw values in [{low}, {high}], want finite ones")
        zeros = values.numel() - int(torch.count_nonzero(values))
        self.zeros += zeros
        self.low, self.high = min(self.low, low), max(self.high, high)
        if zeros == values.numel():
            return
        self._cover()
        last = self.first + len(self.counts)
        counts = torch.histc(
            values.float(), len(self.counts), self.first * self.width, last * self.width
        )
        self.counts += counts.double().numpy()
        self.counts[-self.first] -= zeros

    def centres(self) -> npt.NDArray[np.float64]:
        """Return the middle of every bin."""
        numbers = np.arange(len(self.counts), dtype=np.float64)
        return (numbers + (self.first + 0.5)) * self.width

    def _cover(self) -> None:
        needed = 2.0 ** np.ceil(np.log2((self.high - self.low) / (MAX_BINS - 2)))
        if needed > self.width > 0:
            self._merge(round(needed / self.width))
        self.width = max(self.width, needed)
        first = min(int(np.floor(self.low / self.width)), self.first)
        old_last = self.first + len(self.counts)
        last = max(int(np.floor(self.high / self.width)) + 1, old_last)
        self.counts = np.pad(self.counts, (self.first - first, last - old_last))
        self.first = first

    def _merge(self, ratio: int) -> None:
        numbers = np.floor_divide(np.arange(len(self.counts)) + self.first, ratio)
        merged = np.bincount(numbers - numbers[0], weights=self.counts)
        self.first, self.counts = int(numbers[0]), merged.astype(np.float64)


class HistogramMseObserver:
    """Range with the smallest mean ``|error| ** norm`` over a histogram, both ends searched apart.

    Args:
        norm: 2 for the squared error; larger numbers clip less.

    Source: the search of Li et al. 2021 (BRECQ, arXiv 2102.05426), two-sided here, because one end
    is 0 behind a ReLU and the other has a long tail.
    """

    def __init__(self, *, norm: float = 2.0) -> None:
        self.norm = norm
        self.histogram = Histogram()

    def update(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.update(values)

    def qparams(self) -> QParams:
        """Return the best grid found."""
        low, high = self.histogram.low, self.histogram.high
        for _ in range(_SWEEPS):
            high = self._best(np.full(len(_SHRINKS), low), self.histogram.high * _SHRINKS)[1]
            low = self._best(self.histogram.low * _SHRINKS, np.full(len(_SHRINKS), high))[0]
        return choose_qparams(low, high)

    def saturation(self, qparams: QParams) -> float:
        """Return the share of values further than one step outside the grid."""
        return _outside(self.histogram, qparams)

    def mean_squared_error(self, qparams: QParams) -> float:
        """Return the mean squared error of the grid."""
        return _squared_error(self.histogram, qparams)

    def _best(
        self, lows: npt.NDArray[np.float64], highs: npt.NDArray[np.float64]
    ) -> tuple[float, float]:
        filled = self.histogram.counts > 0
        centres, counts = self.histogram.centres()[filled], self.histogram.counts[filled]
        grids = [choose_qparams(low, high) for low, high in zip(lows, highs, strict=True)]
        scales = np.array([[grid.scale] for grid in grids], np.float64)
        zeros = np.array([[grid.zero_point] for grid in grids], np.float64)
        codes = (np.rint(centres / scales) + zeros).clip(CODE_MIN, CODE_MAX)
        errors = np.abs(centres - (codes - zeros) * scales) ** self.norm @ counts
        best = int(errors.argmin())
        return float(lows[best]), float(highs[best])


class MinMaxObserver:
    """The full range that was seen."""

    def __init__(self) -> None:
        self.histogram = Histogram()

    def update(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.update(values)

    def qparams(self) -> QParams:
        """Return the grid that covers everything seen."""
        return choose_qparams(self.histogram.low, self.histogram.high)

    def saturation(self, qparams: QParams) -> float:
        """Return the share of values further than one step outside the grid."""
        return _outside(self.histogram, qparams)

    def mean_squared_error(self, qparams: QParams) -> float:
        """Return the mean squared error of the grid."""
        return _squared_error(self.histogram, qparams)


OBSERVERS: Mapping[str, Callable[[], Observer]] = MappingProxyType(
    {
        "histogram_mse": HistogramMseObserver,
        "histogram_lp": partial(HistogramMseObserver, norm=2.4),
        "minmax": MinMaxObserver,
    }
)


def _outside(histogram: Histogram, qparams: QParams) -> float:
    total = histogram.counts.sum() + histogram.zeros
    centres = histogram.centres()
    step = float(qparams.scale)
    beyond = (centres < qparams.low - step) | (centres > qparams.high + step)
    return float(histogram.counts[beyond].sum() / max(total, 1.0))


def _squared_error(histogram: Histogram, qparams: QParams) -> float:
    total = histogram.counts.sum() + histogram.zeros
    centres = histogram.centres()
    errors = np.square(centres - dequantize(quantize(centres, qparams), qparams))
    return float(errors @ histogram.counts / max(total, 1.0))
