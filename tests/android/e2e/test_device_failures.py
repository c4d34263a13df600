"""Every row of the table of failures: its own exit code, and a message that says what to do."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.android.fake_phone.elf import AARCH64

if TYPE_CHECKING:
    from tests.android.e2e.conftest import Desk, Ended


def no_adb(desk: "Desk") -> "Ended":
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ADB")
        patch.setenv("PATH", str(desk.folder))
        patch.setitem(sys.modules, "adbutils", None)
        return desk.edgesr("list")


def no_device(desk: "Desk") -> "Ended":
    return desk.bench()


def several_devices(desk: "Desk") -> "Ended":
    desk.phone()
    desk.phone()
    return desk.bench()


def unauthorized(desk: "Desk") -> "Ended":
    desk.phone(connect=False, state="unauthorized").connect(until="unauthorized")
    return desk.bench()


def offline(desk: "Desk") -> "Ended":
    desk.phone(connect=False, state="offline").connect(until="offline")
    return desk.bench()


def no_space(desk: "Desk") -> "Ended":
    desk.phone(free_kb=100)
    return desk.bench()


def no_space_in_the_push(desk: "Desk") -> "Ended":
    desk.phone(quota=20_000)
    return desk.bench()


def lost_in_the_middle(desk: "Desk") -> "Ended":
    desk.phone(cut_at_launch=1)
    return desk.bench()


def another_processor(desk: "Desk") -> "Ended":
    desk.phone()
    return desk.bench(runner=desk.runner(machine=AARCH64))


def crash(desk: "Desk") -> "Ended":
    desk.phone(crash=11)
    return desk.bench()


def time_out(desk: "Desk") -> "Ended":
    desk.phone(hang="always")
    return desk.bench("--timeout", "1")


def refused_delegate(desk: "Desk") -> "Ended":
    desk.phone(nnapi="partial")
    return desk.bench("--backend", "nnapi", "--require-full")


def throttled(desk: "Desk") -> "Ended":
    desk.phone(throttle_at_launch=1)
    return desk.bench("--strict")


def unknown_flag(desk: "Desk") -> "Ended":
    desk.phone(unknown_flags="num_runs")
    return desk.bench()


FAILURES: dict[Callable[["Desk"], "Ended"], tuple[int, tuple[str, ...]]] = {
    no_adb: (10, ("adb", "platform-tools", "edgesr[device]")),
    no_device: (11, ("no device", "USB debugging")),
    several_devices: (12, ("2 devices", "-s", "--all")),
    unauthorized: (13, ("unauthorized", "accept")),
    offline: (14, ("offline", "kill-server")),
    no_space: (15, ("100 KiB", "free")),
    lost_in_the_middle: (16, ("lost", "--resume")),
    another_processor: (17, ("arm64-v8a", "x86_64")),
    crash: (18, ("SIGSEGV",)),
    time_out: (19, ("--timeout",)),
    refused_delegate: (20, ("Disallowed CPU fallback", "edgesr lint predicts")),
    throttled: (21, ("thermal status 2",)),
    unknown_flag: (22, ("--num_runs",)),
}


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_each_failure_has_its_code_and_says_what_to_do(
    desk: "Desk", fail: Callable[["Desk"], "Ended"]
) -> None:
    code, words = FAILURES[fail]
    ended = fail(desk)
    assert (ended.code, [word for word in words if word not in ended.err]) == (code, []), ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count("error: ") == 1


def test_thirteen_failures_have_thirteen_codes() -> None:
    assert len({code for code, _ in FAILURES.values()}) == len(FAILURES) == 13


def test_a_full_disk_that_was_not_foreseen_has_the_same_code(desk: "Desk") -> None:
    ended = no_space_in_the_push(desk)
    assert ended.code == 15
    assert "No space left" in ended.err


def test_a_crash_keeps_what_the_phone_says_of_it(desk: "Desk") -> None:
    crash(desk)
    (case,) = desk.result()["cases"]
    log = (desk.folder / case["launches"][0]["log"]).read_text()
    assert "libfakenpu.so" in log


def test_an_overridden_sensor_is_refused(desk: "Desk") -> None:
    desk.phone(override="")
    ended = desk.bench()
    assert ended.code == 21
    assert "overridden" in ended.err
