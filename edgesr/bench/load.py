"""Cores that other programs keep busy while something is measured.

A load average lags by a minute and counts the measurement itself. The kernel's own account of
processor time, less that of this process, does neither.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesr.errors import DataError

TOLERANCE = 0.25
"""Cores that a quiet machine is busy with on its own."""

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Places of idle time and of waiting for a disk among a line's numbers: proc(5)."""

_GUESTS = 8
"""Numbers from here on are counted in earlier ones already."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Times up to now, in seconds.

    Attributes:
        wall: of the clock.
        busy: processor time of all programs; None where the system does not tell it.
        own: processor time of this process and of those that it has ended.
    """

    wall: float
    busy: float | None
    own: float


def moment() -> Moment:
    """Return the times up to now."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return Moment(wall=time.perf_counter(), busy=_busy_seconds(), own=own)


def other_cores(began: Moment, ended: Moment) -> float | None:
    """Return how many cores others kept busy between two moments, None where nobody tells.

    Time that the host of a virtual machine took away counts as theirs.
    """
    wall = ended.wall - began.wall
    if began.busy is None or ended.busy is None or wall <= 0:
        return None
    return max(0.0, (ended.busy - began.busy - (ended.own - began.own)) / wall)


def refuse_load(threads: int, *, seconds: float = 1.0) -> float | None:
    """Return the cores that others keep busy; refuse where ``threads`` have no core each.

    Args:
        threads: that are to run at once.
        seconds: to watch for.

    Raises:
        DataError: fewer cores are free.
    """
    began = moment()
    time.sleep(seconds)
    found = other_cores(began, moment())
    cores = os.cpu_count() or 1
    if found is not None and found + threads > cores + TOLERANCE:
        raise DataError(
            f"other programs keep {found:.1f} of {cores} cores busy, so that {threads} threads "
            "have no core each and their times mean nothing; wait for a quiet moment, or pass "
            "--loaded to measure all the same, which the results say"
        )
    return found


@contextmanager
def one_core() -> Iterator[None]:
    """Stay on the last core that this process may use, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def said_load(about: dict[str, Any], cores: float | None) -> str:
    """Say in words how busy others kept the machine.

    Args:
        about: of ``environment``.
        cores: of ``other_cores``.
    """
    if cores is None:
        return f"load {about['load_1min']} on {about['cores']} cores"
    return f"other programs kept {cores:.1f} of {about['cores']} cores busy"


def _busy_seconds() -> float | None:
    try:
        line = _STAT.read_text().splitlines()[0]
        ticks = [int(number) for number in line.split()[1:]]
        hertz = os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError, AttributeError):
        return None
    counted = [n for place, n in enumerate(ticks[:_GUESTS]) if place not in _IDLE]
    return sum(counted) / hertz
