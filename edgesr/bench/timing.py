"""Interleaved timing: contenders take turns, so that a slow moment of the machine hits them all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Repeated measurements of one contender in milliseconds.

    Attributes:
        name: contender.
        wall_ms: wall-clock time of every repetition, in order.
        cpu_ms: processor time of the whole process in every repetition.
    """

    name: str
    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """Median wall-clock time."""
        return statistics.median(self.wall_ms)

    @property
    def min_ms(self) -> float:
        """Smallest wall-clock time."""
        return min(self.wall_ms)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times longer one contender takes than another, repetition by repetition."""

    median: float
    low: float
    high: float


def interleave(contenders: Mapping[str, Work], *, repeats: int, warmup: int = 2) -> list[Timing]:
    """Run every contender ``warmup`` times uncounted, then all in turn ``repeats`` times."""
    for work in contenders.values():
        for _ in range(warmup):
            work()
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, work in contenders.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            work()
            wall[name].append(1e3 * (time.perf_counter() - began))
            cpu[name].append(1e3 * (time.process_time() - began_cpu))
    return [
        Timing(name=name, wall_ms=tuple(wall[name]), cpu_ms=tuple(cpu[name]))
        for name in contenders
    ]


def ratio(slower: Timing, faster: Timing) -> Ratio:
    """Return the ratios of paired repetitions: median and the quartiles round it."""
    pairs = sorted(a / b for a, b in zip(slower.wall_ms, faster.wall_ms, strict=True))
    if len(pairs) == 1:
        return Ratio(median=pairs[0], low=pairs[0], high=pairs[0])
    low, median, high = statistics.quantiles(pairs, n=4, method="inclusive")
    return Ratio(median=median, low=low, high=high)
