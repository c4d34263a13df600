from typing import TYPE_CHECKING

import pytest

from edgesr.android.errors import NotValidError
from edgesr.android.heat import (
    Gate,
    refuse_faked,
    slowdown,
    throttled,
    too_hot,
    wait_until_cool,
)
from edgesr.android.state import Battery, State, Temperature

if TYPE_CHECKING:
    from collections.abc import Iterator


def state(*, battery: float = 30.0, status: int | None = 0, skin: float | None = None) -> State:
    temperatures = {} if skin is None else {"skin": Temperature(celsius=skin, kind=3)}
    return State(
        thermal_status=status,
        temperatures=temperatures,
        battery=Battery(level=80, celsius=battery, millivolt=4000, powered=True, faked=False),
        cap_khz={0: 1_800_000, 4: 2_800_000},
    )


def test_a_cool_phone_gives_no_reason() -> None:
    assert too_hot(state(), state(), Gate()) == ()
    assert too_hot(State(), State(), Gate()) == ()


def test_each_kind_of_heat_is_a_reason() -> None:
    gate = Gate(battery_celsius=37, rise_celsius=1)
    assert "thermal status 2" in too_hot(state(status=2), state(), gate)[0]
    assert "38.0" in too_hot(state(battery=38), state(battery=38), gate)[0]
    assert "1.5 °C warmer" in too_hot(state(skin=33.5), state(skin=32), gate)[0]
    assert too_hot(state(battery=99, status=6), state(), Gate(battery_celsius=None)) == ()


def test_the_wait_ends_when_the_phone_is_cool_not_after_a_fixed_time() -> None:
    readings: Iterator[float] = iter([39.0, 38.0, 36.9, 20.0])
    paused: list[float] = []
    now = [0.0]

    def pause(seconds: float) -> None:
        paused.append(seconds)
        now[0] += seconds

    waited = wait_until_cool(
        state(battery=40),
        state(battery=36.9),
        Gate(),
        read=lambda: state(battery=next(readings)),
        pause=pause,
        clock=lambda: now[0],
    )
    assert waited.hot == ()
    assert len(paused) == 3
    assert waited.state.battery is not None
    assert waited.state.battery.celsius == 36.9


def test_patience_ends_and_the_launch_is_marked() -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    waited = wait_until_cool(
        state(battery=40),
        state(),
        Gate(max_wait_s=12),
        read=lambda: state(battery=40),
        pause=pause,
        clock=lambda: now[0],
    )
    assert waited.seconds == 12
    assert any("battery at 40.0" in reason for reason in waited.hot)


def test_a_cool_phone_is_not_read_again() -> None:
    def read() -> State:
        raise AssertionError

    assert wait_until_cool(state(), state(), Gate(), read=read).hot == ()


def test_each_sign_of_throttling_is_seen() -> None:
    before = state()
    capped = State(cap_khz={0: 1_800_000, 4: 1_200_000})
    assert throttled(before, before) == ()
    assert throttled(before, state(status=1)) == ("thermal status 1",)
    assert throttled(before, capped) == ("cpu4 capped at 1200 MHz, was 2800",)
    assert throttled(before, capped, cpus=(0,)) == ()
    cooling = State(cooling={"thermal-cpufreq-0": 3, "GPU": 0, "fan": 9})
    assert throttled(before, cooling) == ("cooling device thermal-cpufreq-0 rose by 3",)
    assert throttled(cooling, cooling) == ()
    assert throttled(cooling, State(cooling={"thermal-cpufreq-0": 1})) == ()


def test_slower_and_slower_samples_are_throttling() -> None:
    assert throttled(state(), state(), samples=[100.0] * 20 + [112.0] * 10)
    assert not throttled(state(), state(), samples=[100.0] * 20 + [109.0] * 10)
    assert not throttled(state(), state(), samples=[100.0] * 12 + [200.0] * 12)
    assert slowdown([1.0] * 8) is None
    assert slowdown([0.0] * 9) is None


def test_one_spike_is_no_throttling() -> None:
    assert not throttled(state(), state(), samples=[100.0] * 29 + [5000.0])


@pytest.mark.parametrize(
    "faked",
    [
        State(overridden=True),
        State(battery=Battery(level=1, celsius=20.0, millivolt=None, powered=False, faked=True)),
    ],
)
def test_faked_sensors_are_refused_with_the_command_that_resets_them(faked: State) -> None:
    with pytest.raises(NotValidError, match="reset"):
        refuse_faked(faked)
