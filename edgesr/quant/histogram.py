"""Counts of the values that a tensor takes, in bins that grow with its range."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.errors import GraphError
from edgesr.quant.affine import dequantize, quantize
from edgesr.quant.scheme import QParams

MIN_BINS = 2048
MAX_BINS = 2 * MIN_BINS


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

    def add(self, part: "Histogram") -> None:
        """Count what another histogram has seen as well."""
        self.zeros += part.zeros
        self.low, self.high = min(self.low, part.low), max(self.high, part.high)
        if part.width == 0.0:
            return
        if self.width == 0.0:
            self.width, self.first, self.counts = part.width, part.first, part.counts.copy()
            return
        if part.width > self.width:
            self._merge(round(part.width / self.width))
            self.width = part.width
        ratio = round(self.width / part.width)
        numbers = np.floor_divide(np.arange(len(part.counts)) + part.first, ratio)
        first = min(self.first, int(numbers[0]))
        last = max(self.first + len(self.counts), int(numbers[-1]) + 1)
        added = np.bincount(numbers - first, weights=part.counts, minlength=last - first)
        own = (self.first - first, last - self.first - len(self.counts))
        self.first, self.counts = first, np.pad(self.counts, own) + added
        if len(self.counts) > MAX_BINS:
            self._merge(2)
            self.width *= 2.0

    def saturation(self, qparams: QParams) -> float:
        """Return the share of values, 0 to 1, further than one step outside the grid."""
        centres = self.centres()
        step = float(qparams.scale)
        beyond = (centres < qparams.low - step) | (centres > qparams.high + step)
        return float(self.counts[beyond].sum() / max(self.total, 1.0))

    def mean_squared_error(self, qparams: QParams) -> float:
        """Return the mean squared difference between the values and the same on the grid."""
        centres = self.centres()
        errors = np.square(centres - dequantize(quantize(centres, qparams), qparams))
        return float(errors @ self.counts / max(self.total, 1.0))

    @property
    def total(self) -> float:
        """Number of values seen."""
        return float(self.counts.sum() + self.zeros)

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


def joined(parts: Iterable[Histogram]) -> Histogram:
    """Return one histogram of all that ``parts`` have seen; they stay as they are."""
    total = Histogram()
    for part in parts:
        total.add(part)
    return total
