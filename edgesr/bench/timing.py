"""Interleaved timing: contenders take turns, so that a slow moment of the machine hits them all."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edgesr.bench.verdict import Drift, Ratio, drift, paired_ratio
from edgesr.errors import DataError, EdgesrError

Work = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Where seconds come from; tests give recorded ones."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time


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

    @property
    def p5_ms(self) -> float:
        """Wall-clock time that 5 % of the repetitions stay below."""
        return quantile(self.wall_ms, 0.05)

    @property
    def p90_ms(self) -> float:
        """Wall-clock time that 90 % of the repetitions stay below."""
        return quantile(self.wall_ms, 0.9)

    @property
    def iqr_ms(self) -> float:
        """Distance between the quartiles of the wall-clock times."""
        return quantile(self.wall_ms, 0.75) - quantile(self.wall_ms, 0.25)

    @property
    def drift(self) -> Drift:
        """Trend over the run, from heat or load."""
        return drift(self.wall_ms)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A contender that could not be measured, and why, in one line."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Session:
    """One interleaved run.

    Attributes:
        timings: of the contenders that ended every repetition.
        failures: of the others.
        overhead: part of a repetition's time that belongs to no contender; the median, so that
            other programs' turns on the processor are not charged to the harness.
    """

    timings: tuple[Timing, ...]
    failures: tuple[Failure, ...] = ()
    overhead: float = 0.0


@dataclass(kw_only=True)
class _Tally:
    work: Work
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def interleave(contenders: Mapping[str, Work], *, repeats: int, warmup: int = 2) -> list[Timing]:
    """Run every contender ``warmup`` times uncounted, then all in turn ``repeats`` times.

    Raises:
        DataError: a contender fails; ``run_session`` goes on without it.
    """
    session = run_session(contenders, repeats=repeats, warmup=warmup)
    if session.failures:
        first = session.failures[0]
        raise DataError(f"{first.name}: {first.reason}")
    return list(session.timings)


def run_session(
    contenders: Mapping[str, Work], *, repeats: int, warmup: int = 2, clock: Clock | None = None
) -> Session:
    """Run every contender ``warmup`` times uncounted, then all in turn ``repeats`` times.

    The order turns round at every repetition, so that nobody always follows the same neighbour. A
    contender that raises is reported and left out; the others go on.
    """
    clock = clock or Clock()
    tallies = {name: _Tally(work=work) for name, work in contenders.items()}
    failures: list[Failure] = []
    for name in list(tallies):
        for _ in range(warmup):
            if not _attempt(name, tallies, failures, clock):
                break
        else:
            tallies[name].wall_ms.clear()
            tallies[name].cpu_ms.clear()
    shares = []
    for repetition in range(repeats):
        names = list(tallies)
        began = clock.wall()
        for name in reversed(names) if repetition % 2 else names:
            _attempt(name, tallies, failures, clock)
        total_ms = 1e3 * (clock.wall() - began)
        counted = math.fsum(tally.wall_ms[-1] for tally in tallies.values())
        if len(names) == len(tallies) and total_ms > 0:
            shares.append(1 - counted / total_ms)
    timings = tuple(
        Timing(name=name, wall_ms=tuple(tally.wall_ms), cpu_ms=tuple(tally.cpu_ms))
        for name, tally in tallies.items()
    )
    overhead = statistics.median(shares) if shares else 0.0
    return Session(timings=timings, failures=tuple(failures), overhead=overhead)


def ratio(slower: Timing, faster: Timing) -> Ratio:
    """Return the ratio of paired repetitions with its 99 % confidence interval."""
    return paired_ratio(slower.wall_ms, faster.wall_ms)


def quantile(values: Sequence[float], fraction: float) -> float:
    """Return the value that ``fraction`` of ``values`` stay below, interpolated."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def one_line(error: BaseException) -> str:
    """Return the message of ``error`` on one line, with its kind where it is not ours."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, EdgesrError) else f"{type(error).__name__}: {text}"


def _attempt(name: str, tallies: dict[str, _Tally], failures: list[Failure], clock: Clock) -> bool:
    tally = tallies[name]
    began, began_cpu = clock.wall(), clock.cpu()
    try:
        tally.work()
    except Exception as error:  # noqa: BLE001 - whatever one contender raises, the others go on
        del tallies[name]
        failures.append(Failure(name=name, reason=one_line(error)))
        return False
    ended, ended_cpu = clock.wall(), clock.cpu()
    tally.wall_ms.append(1e3 * (ended - began))
    tally.cpu_ms.append(1e3 * (ended_cpu - began_cpu))
    return True
