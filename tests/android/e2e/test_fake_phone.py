"""The fake phone itself: what real adb programs see of it. Its faults are those of a real one."""

import hashlib
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.android.fake_phone.elf import AARCH64, make_runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.android.e2e.conftest import Adb, FakePhone

    StartPhone = Callable[..., FakePhone]


MODEL = Path(__file__).resolve().parents[3] / "edgesr/zoo/ncnet_x3_int8.tflite"
TMP = "/data/local/tmp"


@pytest.fixture(params=["path", "adbutils"])
def adb(request: pytest.FixtureRequest, start_adb: "Callable[[str], Adb]") -> "Adb":
    return start_adb(request.param)


@pytest.fixture
def phone(any_adb: "Adb", start_phone: "StartPhone") -> "FakePhone":
    made: FakePhone = start_phone(any_adb)
    made.connect()
    return made


def shell(phone: "FakePhone", script: str) -> "subprocess.CompletedProcess[str]":
    return phone.adb("-s", phone.serial, "shell", script)


def push_runner(phone: "FakePhone", folder: Path, flavour: str, **how: int) -> None:
    runner = folder / flavour
    runner.write_bytes(make_runner(flavour, **how))
    runner.chmod(0o755)
    for path in (runner, MODEL):
        assert phone.adb("-s", phone.serial, "push", str(path), TMP).returncode == 0


def test_each_adb_lists_it_and_runs_commands(adb: "Adb", start_phone: "StartPhone") -> None:
    phone = start_phone(adb)
    phone.connect()
    assert f"{phone.serial} " in adb("devices", "-l").stdout
    answer = shell(phone, "echo out; echo err >&2; getprop ro.product.cpu.abilist; exit 7")
    assert (answer.stdout, answer.stderr) == ("out\nx86_64\n", "err\n")
    assert answer.returncode == 7


def test_each_adb_moves_files_unchanged(
    adb: "Adb", start_phone: "StartPhone", tmp_path: Path
) -> None:
    phone = start_phone(adb)
    phone.connect()
    content = os.urandom(3_000_001)
    (tmp_path / "there").write_bytes(content)
    assert adb("-s", phone.serial, "push", str(tmp_path / "there"), f"{TMP}/x").returncode == 0
    digest = shell(phone, f"sha256sum {TMP}/x").stdout.split()[0]
    assert digest == hashlib.sha256(content).hexdigest()
    assert adb("-s", phone.serial, "pull", f"{TMP}/x", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == content


def test_each_adb_sees_an_unauthorized_phone(adb: "Adb", start_phone: "StartPhone") -> None:
    phone = start_phone(adb)
    phone.set(state="unauthorized")
    phone.connect(until="unauthorized")
    assert "unauthorized" in shell(phone, "true").stderr


def test_an_offline_phone_is_listed_as_offline(any_adb: "Adb", start_phone: "StartPhone") -> None:
    phone = start_phone(any_adb)
    phone.set(state="offline")
    phone.connect(until="offline")
    assert "offline" in shell(phone, "true").stderr


def test_the_shell_is_a_phones_and_sees_only_the_phone(phone: "FakePhone") -> None:
    found = shell(phone, "echo $KSH_VERSION; echo $PATH; ls /; ls /root /work /home 2>&1; pwd")
    assert "MIRBSD KSH" in found.stdout
    assert "/system/bin" in found.stdout.splitlines()
    assert "data" in found.stdout.split()
    assert "tests" not in shell(phone, "ls / /vendor/..").stdout.split()


def test_scripts_of_the_phone_reach_the_tools_behind_them(phone: "FakePhone") -> None:
    free = shell(phone, f"df -k {TMP} | tail -1").stdout.split()
    assert int(free[3]) > 0
    told = shell(phone, "taskset 1 cat /proc/self/status | grep Cpus_allowed_list").stdout
    assert told.split()[-1] == "0"


def test_old_phones_report_no_exit_codes(any_adb: "Adb", start_phone: "StartPhone") -> None:
    phone = start_phone(any_adb)
    phone.set(old_shell="")
    phone.connect()
    answer = shell(phone, "echo one; echo two >&2; exit 3")
    assert (answer.returncode, answer.stdout) == (0, "one\ntwo\n")


def test_a_push_fails_when_the_phone_is_full(phone: "FakePhone", tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(2_000_000))
    phone.set(quota=1_000_000)
    answer = phone.adb("-s", phone.serial, "push", str(tmp_path / "big"), TMP)
    assert answer.returncode == 1
    assert "No space left on device" in answer.stdout + answer.stderr


def test_a_cut_cable_ends_commands_and_what_they_ran(phone: "FakePhone") -> None:
    argv = [phone.adb.program, "-s", phone.serial, "shell", f"sleep 30; touch {TMP}/survived"]
    with subprocess.Popen(argv, env=phone.adb.environment, stderr=subprocess.PIPE) as running:  # noqa: S603
        time.sleep(0.3)
        phone.set(cut="")
        running.communicate(timeout=10)
    assert phone.adb.state(phone.serial) != "device"
    phone.replug()
    assert shell(phone, f"pgrep sleep; ls {TMP}").stdout == ""


@pytest.mark.parametrize("flavour", ["classic", "litert"])
def test_the_runner_runs_the_model_that_was_pushed(
    phone: "FakePhone", tmp_path: Path, flavour: str
) -> None:
    push_runner(phone, tmp_path, flavour)
    flags = f"--graph={MODEL.name} --num_runs=4 --min_secs=0 --warmup_min_secs=0"
    script = f"cd {TMP}; timeout -s KILL 60 taskset 3 ./{flavour} {flags} 2>&1"
    answer = shell(phone, script)
    assert answer.returncode == 0
    assert "INFO: count=4 first=" in answer.stdout
    summary = {
        "classic": "INFO: Inference timings in us: Init: ",
        "litert": "Inference (avg):      ",
    }[flavour]
    assert summary in answer.stdout
    (phone.root / "data/local/tmp" / MODEL.name).write_bytes(b"damaged")
    assert shell(phone, script).returncode == 1


def test_a_runner_of_another_processor_is_refused(phone: "FakePhone", tmp_path: Path) -> None:
    push_runner(phone, tmp_path, "classic", machine=AARCH64)
    answer = shell(phone, f"{TMP}/classic --help; echo $?")
    assert answer.stdout in ("1\n", "126\n")  # versions of mksh differ
    assert "not executable: 64-bit ELF file" in answer.stderr


def test_runners_crash_and_hang_as_real_ones(phone: "FakePhone", tmp_path: Path) -> None:
    push_runner(phone, tmp_path, "classic")
    run = f"cd {TMP}; ./classic --graph={MODEL.name}"
    phone.set(crash=11)
    assert shell(phone, run).returncode == 139
    assert "Fatal signal 11" in shell(phone, "logcat -b crash -d").stdout
    phone.clear("crash")
    phone.set(hang="always")
    assert shell(phone, f"cd {TMP}; timeout -s KILL 0.3 ./classic --graph=x").returncode == 137
