"""``edgesr device`` from end to end: a real adb, a phone that is not there, real inference."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.android.e2e.conftest import Desk


def test_list_tells_what_keeps_a_phone_from_being_used(desk: "Desk") -> None:
    ready = desk.phone(model="Fake 1")
    closed = desk.phone(connect=False, state="unauthorized")
    closed.connect(until="unauthorized")
    ended = desk.edgesr("list", "--json")
    rows = {row["serial"]: row for row in ended.json()["devices"]}
    assert rows[ready.serial]["model"] == "Fake 1"
    assert rows[ready.serial]["abi"] == "x86_64"
    assert rows[ready.serial]["emulated"] is True
    assert "accept" in rows[closed.serial]["todo"]
    table = desk.edgesr("list").out
    assert ready.serial in table
    assert "unauthorized" in table


def test_info_reads_the_phone_and_keeps_its_serial_number(desk: "Desk") -> None:
    phone = desk.phone()
    ended = desk.edgesr("info", "--json")
    assert ended.code == 0, ended.err
    (found,) = ended.json()["devices"]
    assert found["soc"] == "Edgesr FAKE1"
    assert [(one["cpus"], one["max_khz"]) for one in found["clusters"]] == [
        ([0], 1_803_000),
        ([1], 2_850_000),
    ]
    assert found["state"]["battery"]["celsius"] == 30.1
    assert found["state"]["temperatures"]["cpu0"] == 31.0
    assert found["state"]["thermal_status"] == 0
    assert found["gpu"] == "Fake GPU"
    assert len(found["nnapi_services"]) == 2
    assert found["chip"] is None
    props = phone.root / "fake/props"
    props.write_text(props.read_text().replace("FAKE1", "SM8650"))
    known = desk.edgesr("info")
    assert "Hexagon tensor processor v75" in known.out
    assert "--backend npu or qnn" in known.out
    assert phone.serial not in ended.out
    assert "FAKE0SERIAL" not in ended.out


@pytest.mark.parametrize("flavour", ["classic", "litert"])
def test_setup_tries_the_runner_on_the_phone_and_bench_takes_it(desk: "Desk", flavour: str) -> None:
    phone = desk.phone()
    stored = desk.edgesr("setup", "--runner", desk.runner(flavour), "--json")
    assert stored.code == 0, stored.err
    assert stored.json()["flavour"] == flavour
    words = desk.bench_words()
    del words[words.index("--runner") : words.index("--runner") + 2]
    ended = desk.edgesr(*words)
    assert ended.code == 0, ended.err
    assert desk.result()["runner"]["flavour"] == flavour
    assert phone.left_behind() == []


@pytest.mark.parametrize("flavour", ["classic", "litert"])
def test_bench_measures_and_cleans_up(desk: "Desk", flavour: str) -> None:
    phone = desk.phone()
    ended = desk.bench("--launches", "2", "--strict", runner=desk.runner(flavour))
    assert ended.code == 0, ended.err
    result = desk.result()
    (case,) = result["cases"]
    assert [one["number"] for one in case["launches"]] == [1, 2]
    for one in case["launches"]:
        latency = one["latency"]
        assert latency["n"] == 3
        assert latency["source"] == "pb"
        assert 0 < latency["min"] <= latency["p50"] <= latency["max"] < 1e7
        assert latency["p90"] is None
        assert one["delegation"]["status"] == "full"
        assert one["valid"]
        assert "count=3" in (desk.folder / one["log"]).read_text()
    assert case["summary"]["verdict"] == "ok"
    assert result["emulated"] is True
    assert "emulated" in ended.out.lower() + ended.err.lower()
    text = (desk.folder / "out.json").read_text()
    assert phone.serial not in text
    assert "FAKE0SERIAL" not in text
    assert phone.left_behind() == []


def test_an_old_phone_is_measured_too(desk: "Desk") -> None:
    desk.phone(old_shell="")
    ended = desk.bench()
    assert ended.code == 0, ended.err
    assert desk.result()["cases"][0]["launches"][0]["exit_code"] == 0


@pytest.mark.parametrize(
    ("share", "verdict"), [("partial", "PARTIAL"), ("none", "NONE"), ("unsupported", "NONE")]
)
def test_a_graph_that_left_the_accelerator_is_not_valid(
    desk: "Desk", share: str, verdict: str
) -> None:
    desk.phone(nnapi=share)
    ended = desk.bench("--backend", "nnapi")
    assert ended.code == 0, ended.err
    summary = desk.result()["cases"][0]["summary"]
    assert summary["verdict"].startswith(verdict)
    assert not summary["valid"]
    assert verdict in ended.out


def test_memory_is_a_launch_of_its_own_and_cores_are_pinned(desk: "Desk") -> None:
    phone = desk.phone()
    ended = desk.bench("--memory", "--cpus", "big")
    assert ended.code == 0, ended.err
    (case,) = desk.result()["cases"]
    assert [one["purpose"] for one in case["launches"]] == ["time", "memory"]
    assert case["launches"][0]["memory_mb"]["peak"] is None
    assert case["summary"]["peak_mb"] > 1
    assert (phone.root / "fake/masks").read_text().split() == ["2", "2"]


def test_a_phone_that_does_not_cool_down_is_measured_and_marked(desk: "Desk") -> None:
    desk.phone(hot="")
    ended = desk.bench("--cooldown", "37C", "--max-wait", "0")
    assert ended.code == 0, ended.err
    summary = desk.result()["cases"][0]["summary"]
    assert not summary["valid"]
    assert "hot start: battery at 45.0" in summary["reasons"][0]
    assert "hot start: battery at 45.0" in ended.out  # in the table its mark may be wrapped


def test_compare_and_report_keep_emulated_results_apart(desk: "Desk") -> None:
    desk.phone()
    assert desk.bench().code == 0
    first = desk.folder / "out.json"
    assert desk.bench("-o", desk.folder / "two.json").code == 0
    assert desk.edgesr("compare", first, desk.folder / "two.json").code == 0
    slow = desk.result("two.json")
    for one in slow["cases"][0]["launches"]:
        one["latency"] = {
            key: value * 10 if isinstance(value, float) else value
            for key, value in one["latency"].items()
        }
    slow["cases"][0]["summary"]["p50_us"] *= 10
    (desk.folder / "slow.json").write_text(json.dumps(slow))
    gate = desk.edgesr("compare", first, desk.folder / "slow.json", "--fail-above", "5%")
    assert gate.code == 1
    assert "cannot be judged" in gate.err
    real = desk.result() | {"emulated": False}
    real["device"]["emulated"] = False
    (desk.folder / "real.json").write_text(json.dumps(real))
    mixed = desk.edgesr("compare", first, desk.folder / "real.json")
    assert mixed.code not in (0, 1)
    assert "emulated" in mixed.err
    report = desk.edgesr("report", first, "--md", desk.folder / "report.md")
    assert report.code == 0, report.err
    assert "emulated" in (desk.folder / "report.md").read_text().lower()


def test_a_run_goes_on_after_the_cable_was_cut(desk: "Desk") -> None:
    phone = desk.phone(cut_at_launch=2)
    cut = desk.bench("--launches", "3")
    assert cut.code == 16
    assert "--resume" in cut.err
    before = [one for one in desk.result()["cases"][0]["launches"] if one["latency"]]
    assert len(before) == 1
    phone.replug()
    words = ("bench", "--resume", desk.folder / "out.json", "--runner", desk.runner())
    ended = desk.edgesr(*words)
    assert ended.code == 0, ended.err
    launches = desk.result()["cases"][0]["launches"]
    assert sorted(one["number"] for one in launches) == [1, 2, 3]
    assert before[0] in launches
    assert all(one["valid"] for one in launches)


def test_two_phones_are_measured_at_once(desk: "Desk") -> None:
    phones = [desk.phone(model="Fake 1"), desk.phone(model="Fake 2")]
    for number, phone in enumerate(phones):
        props = phone.root / "fake/props"
        props.write_text(props.read_text().replace("FAKE0SERIAL", f"FAKE{number}SERIAL"))
    ended = desk.bench("--all")
    assert ended.code == 0, ended.err
    results = [json.loads(path.read_text()) for path in desk.folder.glob("out-*.json")]
    assert sorted(one["device"]["model"] for one in results) == ["Fake 1", "Fake 2"]
    assert [phone.switch("launches") for phone in phones] == ["1", "1"]


def test_ctrl_c_leaves_a_clean_phone_and_the_results_so_far(desk: "Desk") -> None:
    phone = desk.phone(hang=2)
    words = desk.bench_words("--launches", "2")
    argv = [sys.executable, "-c", _INTERRUPTIBLE, "device", *map(str, words)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:  # noqa: S603
        while phone.switch("launches") != "2":
            assert run.poll() is None, run.stderr.read() if run.stderr else ""
            time.sleep(0.05)
        busy = desk.bench("-o", desk.folder / "other.json")
        assert busy.code == 23
        assert "another" in busy.err
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=20)
    assert run.returncode == 130, err
    assert phone.left_behind() == []
    assert "benchmark" not in desk.adb("-s", phone.serial, "shell", "ps -A").stdout
    (launch,) = desk.result()["cases"][0]["launches"]
    assert launch["latency"]["n"] == 3


_INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
from edgesr.cli import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_file_that_is_no_model_never_reaches_the_phone(desk: "Desk", tmp_path: Path) -> None:
    phone = desk.phone()
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"not a model, though long enough")
    ended = desk.edgesr("bench", bad, "--runner", desk.runner())
    assert ended.code == 3
    assert "bad.tflite" in ended.err
    assert phone.switch("launches") is None
