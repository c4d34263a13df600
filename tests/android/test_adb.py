import stat
import sys
import threading
import time
from pathlib import Path

import pytest

from edgesr.android.adb import (
    Phone,
    adb_version,
    failure,
    find_adb,
    read_answer,
)
from edgesr.android.devices import choose, list_devices, parse_devices
from edgesr.android.errors import (
    DeviceError,
    LostDeviceError,
    NoAdbError,
    NoDeviceError,
    NoSpaceError,
    OfflineError,
    RunTimeoutError,
    SeveralDevicesError,
    UnauthorizedError,
)
from edgesr.android.process import Finished, StoppedError

LISTED = """* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
8A1X0             device usb:1-1 product:husky model:Pixel_8_Pro device:husky transport_id:1
127.0.0.1:6000    unauthorized transport_id:2
emulator-5554	offline
0123              no permissions (user in plugdev group; are your udev rules wrong?); see [http://x]

"""


def finished(*, out: str = "", err: str = "", code: int = 0) -> Finished:
    return Finished(code=code, out=out, err=err)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_every_line_of_the_list_is_read() -> None:
    found = {one.serial: one for one in parse_devices(LISTED)}
    assert [one.state for one in found.values()] == [
        "device",
        "unauthorized",
        "offline",
        "no permissions",
    ]
    assert found["8A1X0"].details["model"] == "Pixel_8_Pro"


def test_the_only_phone_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    (only,) = choose(parse_devices("List of devices attached\nA device\n"))
    assert only.serial == "A"


def test_the_environment_names_the_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_SERIAL", "B")
    listed = parse_devices("A device\nB device\n")
    assert [one.serial for one in choose(listed)] == ["B"]
    assert [one.serial for one in choose(listed, serials=("A",))] == ["A"]


def test_all_takes_those_that_are_ready() -> None:
    assert [one.serial for one in choose(parse_devices(LISTED), every=True)] == ["8A1X0"]


@pytest.mark.parametrize(
    ("listed", "serials", "kind"),
    [
        ("", (), NoDeviceError),
        (LISTED, ("X",), NoDeviceError),
        (LISTED, (), SeveralDevicesError),
        (LISTED, ("127.0.0.1:6000",), UnauthorizedError),
        (LISTED, ("emulator-5554",), OfflineError),
        (LISTED, ("0123",), NoDeviceError),
        ("A recovery", (), NoDeviceError),
        ("A strange", (), NoDeviceError),
    ],
)
def test_a_phone_that_cannot_be_used_is_an_error_of_its_own(
    listed: str, serials: tuple[str, ...], kind: type[DeviceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    with pytest.raises(kind) as caught:
        choose(parse_devices(listed), serials=serials)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("error: no devices/emulators found", NoDeviceError),
        ("adb: no devices/emulators found", NoDeviceError),
        ("error: device 'X' not found", NoDeviceError),
        ("error: more than one device/emulator", SeveralDevicesError),
        ("adb: error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS", UnauthorizedError),
        ("error: device offline", OfflineError),
        ("adb: error: failed to copy 'a' to 'b': remote write failed: No space left", NoSpaceError),
        ("adb: error: something new", DeviceError),
        ("", DeviceError),
    ],
)
def test_adbs_words_of_both_generations_mean_the_same(words: str, kind: type[DeviceError]) -> None:
    assert type(failure(finished(err=words, code=1), "X", doing="pushing a")) is kind


def test_the_status_is_the_phones_whatever_adb_returns() -> None:
    answer = read_answer(finished(out="hello\n\n@@edgesr ab12 7\n", code=0), "ab12", "X")
    assert (answer.code, answer.text) == (7, "hello\n")


@pytest.mark.parametrize(
    ("code", "out"), [(0, "half of"), (255, ""), (0, "sh: getprop: not found")]
)
def test_without_the_closing_line_the_phone_was_lost(code: int, out: str) -> None:
    with pytest.raises(LostDeviceError, match="--resume"):
        read_answer(finished(out=out, code=code), "ab12", "X")


def test_a_closing_line_of_another_command_does_not_count() -> None:
    with pytest.raises(LostDeviceError):
        read_answer(finished(out="\n@@edgesr other 0\n"), "ab12", "X")


def test_adb_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, environment, path = (tmp_path / name for name in ("named", "env", "bin"))
    path.mkdir()
    for place in (named, environment, path / "adb"):
        script(place, "true")
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("ADB", str(environment))
    assert find_adb(named) == named
    assert find_adb() == environment
    monkeypatch.delenv("ADB")
    assert find_adb() == path / "adb"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    pytest.importorskip("adbutils")
    assert find_adb().parts[-2:] == ("binaries", "adb")


def test_no_adb_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ADB", raising=False)
    monkeypatch.setitem(sys.modules, "adbutils", None)
    with pytest.raises(NoAdbError, match=r"edgesr\[device\]"):
        find_adb()
    with pytest.raises(NoAdbError, match="--adb"):
        find_adb(tmp_path / "missing")


def test_another_program_is_no_adb(tmp_path: Path) -> None:
    with pytest.raises(NoAdbError, match="is no adb"):
        adb_version(script(tmp_path / "adb", "echo hello"))
    told = script(tmp_path / "adb2", "echo 'Android Debug Bridge version 1.0.41\nVersion 36.0.0-1'")
    assert adb_version(told) == "36.0.0-1"


def test_a_server_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="kill-server"):
        list_devices(script(tmp_path / "adb", "echo 'cannot bind' >&2; exit 1"))


def test_a_phone_that_does_not_answer_times_out(tmp_path: Path) -> None:
    phone = Phone(adb=script(tmp_path / "adb", "exec sleep 20"), serial="X")
    began = time.monotonic()
    with pytest.raises(RunTimeoutError):
        phone.shell("true", timeout=0.3)
    assert time.monotonic() - began < 3


def test_another_thread_can_stop_a_command(tmp_path: Path) -> None:
    phone = Phone(adb=script(tmp_path / "adb", "exec sleep 20"), serial="X")
    threading.Timer(0.3, phone.stop.set).start()
    with pytest.raises(StoppedError):
        phone.shell("true", timeout=20)


def test_a_command_runs_in_the_phones_shell(tmp_path: Path) -> None:
    # this adb runs the command right here, as a phone's shell would
    phone = Phone(adb=script(tmp_path / "adb", 'shift 3; exec sh -c "$*"'), serial="X")
    answer = phone.shell("echo one; echo two >&2; exit 3")
    assert (answer.code, answer.text) == (3, "one\ntwo\n")


def test_a_push_that_says_pushed_and_fails_has_failed(tmp_path: Path) -> None:
    body = (
        "echo '1 file pushed'; echo 'adb: error: remote write failed: No space left on device' >&2"
    )
    phone = Phone(adb=script(tmp_path / "adb", body), serial="X")
    with pytest.raises(NoSpaceError):
        phone.push({tmp_path / "adb": "/data/local/tmp/a"})
