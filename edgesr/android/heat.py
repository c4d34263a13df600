"""Wait for a cool phone rather than for a number of seconds, and tell a throttled one."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgesr.android.errors import NotValidError
from edgesr.android.state import State

_POLL_S = 5.0
SLOWER = 1.10
"""A last third that takes so much longer than the first is throttled."""

_LEAST_THIRDS = 9
_LEAST_SAMPLES = 30
_COOLED = ("cpu", "gpu", "npu", "tpu", "thermal-cpufreq", "devfreq")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """When a phone is cool enough for a launch.

    Attributes:
        battery_celsius: the battery must not be warmer; None switches the gate off.
        rise_celsius: nor the phone so much warmer than when the session began.
        max_wait_s: after so many seconds the launch is made, and marked.
    """

    battery_celsius: float | None = 37.0
    rise_celsius: float = 1.0
    max_wait_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Waited:
    """The end of a wait.

    Attributes:
        state: of the phone.
        seconds: that it took.
        hot: why the phone was still too hot; empty when it was cool.
    """

    state: State
    seconds: float
    hot: tuple[str, ...]


def too_hot(state: State, start: State, gate: Gate) -> tuple[str, ...]:
    """Say why a phone is too hot for a launch; unknown temperatures give no reason."""
    if gate.battery_celsius is None:
        return ()
    reasons = []
    if state.thermal_status:
        reasons.append(f"thermal status {state.thermal_status}")
    battery = state.battery.celsius if state.battery else None
    if battery is not None and battery > gate.battery_celsius:
        reasons.append(f"battery at {battery:.1f} °C, want {gate.battery_celsius:.1f}")
    now, before = state.reference_celsius, start.reference_celsius
    if now is not None and before is not None and now > before + gate.rise_celsius:
        reasons.append(f"{now - before:.1f} °C warmer than at the start")
    return tuple(reasons)


def wait_until_cool(  # noqa: PLR0913 - the clock is given by tests
    state: State,
    start: State,
    gate: Gate,
    *,
    read: Callable[[], State],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Waited:
    """Read the phone's state until it is cool or the patience ends.

    Args:
        state: latest known.
        start: at the beginning of the session.
        gate: what cool means.
        read: gives a new state.
        pause: waits so many seconds.
        clock: seconds.
    """
    began = clock()
    while True:
        hot = too_hot(state, start, gate)
        seconds = clock() - began
        if not hot or seconds >= gate.max_wait_s:
            return Waited(state=state, seconds=seconds, hot=hot)
        pause(min(_POLL_S, gate.max_wait_s - seconds))
        state = read()


def refuse_faked(state: State) -> None:
    """Refuse a phone whose sensors somebody has overridden.

    Raises:
        NotValidError: the thermal status or the battery is a set value.
    """
    if state.overridden:
        raise NotValidError(
            "thermal status: it is overridden, want the real one; run "
            "`adb shell cmd thermalservice reset`"
        )
    if state.battery is not None and state.battery.faked:
        raise NotValidError(
            "battery: its values are set by hand, want measured ones; run "
            "`adb shell dumpsys battery reset`"
        )


def throttled(
    before: State, after: State, *, cpus: Sequence[int] = (), samples: Sequence[float] = ()
) -> tuple[str, ...]:
    """Say why a launch was slowed by heat; empty when it was not.

    Args:
        before: state before the launch.
        after: state behind it.
        cpus: cores that it could use; none means all.
        samples: its latencies in order, where they are known.
    """
    reasons = []
    if after.thermal_status:
        reasons.append(f"thermal status {after.thermal_status}")
    for name, value in after.cooling.items():
        risen = value - before.cooling.get(name, 0)
        if risen > 0 and any(word in name.lower() for word in _COOLED):
            reasons.append(f"cooling device {name} rose by {risen}")
    for cpu, cap in after.cap_khz.items():
        allowed = before.cap_khz.get(cpu, cap)
        if cap < allowed and (not cpus or cpu in cpus):
            reasons.append(f"cpu{cpu} capped at {cap // 1000} MHz, was {allowed // 1000}")
            break
    growth = slowdown(samples) if len(samples) >= _LEAST_SAMPLES else None
    if growth is not None and growth > SLOWER:
        reasons.append(f"last third {growth - 1:.0%} slower than the first")
    return tuple(reasons)


def slowdown(samples: Sequence[float]) -> float | None:
    """Return median of the last third over median of the first; None below nine samples."""
    third = math.floor(len(samples) / 3)
    if len(samples) < _LEAST_THIRDS:
        return None
    first = statistics.median(samples[:third])
    return statistics.median(samples[-third:]) / first if first > 0 else None
