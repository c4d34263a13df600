"""Find the range of a tensor from the values that it takes during calibration."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from edgesr.quant.affine import choose_qparams
from edgesr.quant.entropy import entropy_range
from edgesr.quant.histogram import Histogram, joined
from edgesr.quant.range_search import (
    Range,
    dobi_range,
    full_range,
    least_error_range,
    percentile_range,
)
from edgesr.quant.running_range import MovingAverageRange, PamsRange
from edgesr.quant.scheme import BITS, QParams


class Observer(Protocol):
    """Sees the values of one tensor and then names its grid.

    Attributes:
        histogram: everything that was seen.
    """

    histogram: Histogram

    def update(self, values: Tensor) -> None:
        """Take in the float32 values of one batch, any shape.

        Raises:
            GraphError: a value is NaN or infinite.
        """

    def qparams(self, bits: int = BITS) -> QParams:
        """Return the grid for what was seen, with codes of ``bits`` bits."""


class HistogramObserver:
    """Range that is a function of the histogram, whatever the order of batches.

    Args:
        search: histogram and width of the codes to ``(low, high)``.
    """

    def __init__(self, search: Callable[[Histogram, int], Range]) -> None:
        self.histogram = Histogram()
        self._search = search

    def update(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.update(values)

    def joined(self, others: Iterable[Observer]) -> "HistogramObserver":
        """Return an observer of the same kind that has seen what ``others`` have, and no more."""
        made = HistogramObserver(self._search)
        made.histogram = joined(other.histogram for other in others)
        return made

    def qparams(self, bits: int = BITS) -> QParams:
        """Return the best grid found."""
        low, high = self._search(self.histogram, bits)
        return choose_qparams(low, high, bits=bits)


class RunningObserver:
    """Range that follows the batches.

    Args:
        running: what follows them.
    """

    def __init__(self, running: MovingAverageRange | PamsRange) -> None:
        self.histogram = Histogram()
        self._running = running

    def update(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.update(values)
        self._running.see(values)

    def qparams(self, bits: int = BITS) -> QParams:
        """Return the grid of the range as it is now."""
        low, high = self._running.range()
        return choose_qparams(low, high, bits=bits)


OBSERVERS: Mapping[str, Callable[[], Observer]] = MappingProxyType(
    {
        "histogram_mse": lambda: HistogramObserver(least_error_range),
        "histogram_lp": lambda: HistogramObserver(partial(least_error_range, norm=2.4)),
        "minmax": lambda: HistogramObserver(full_range),
        "percentile": lambda: HistogramObserver(percentile_range),
        "moving_average": lambda: RunningObserver(MovingAverageRange()),
        "kl": lambda: HistogramObserver(entropy_range),
        "dobi": lambda: HistogramObserver(dobi_range),
        "pams": lambda: RunningObserver(PamsRange()),
    }
)
"""Estimators by name; ``histogram_mse`` is what edgesr uses, the others are for comparison."""
