"""Launches on a phone that is a folder: an ``adb`` that runs the phone's commands right here.

What needs a real adb, a sandbox or a phone's own shell is in ``e2e``.
"""

import itertools
import json
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgesr.android import install, session
from edgesr.android.adb import Phone
from edgesr.android.backends import parse_backends
from edgesr.android.campaign import first_error, run_jobs
from edgesr.android.errors import DeviceError, LostDeviceError, NoSpaceError, RunnerError
from edgesr.android.heat import Gate
from edgesr.android.request import Settings, make_cases
from edgesr.android.runners import open_runner
from edgesr.android.session import Job
from edgesr.errors import UsageError
from tests.android.test_commands import model

pytest.importorskip("filelock", reason="needs edgesr[device]")

ADB = """
shift 2
echo "$1" >> {log}
case $1 in
shell) shift; PATH={bin}:$PATH exec sh -c "$*" ;;
push) cp "$2" "$3"; {harm} ;;
esac
"""
GETPROP = """
echo '[ro.product.model]: [Folder]'
echo '[ro.product.cpu.abilist]: [x86_64]'
echo '[ro.serialno]: [FOLDER1]'
"""
RUNNER = """
case "$*" in *--help*) echo '--use_nnapi --graph --num_threads --num_runs --min_secs --max_secs
--warmup_runs --use_xnnpack --report_peak_memory_footprint'; exit 1 ;; esac
echo "$*" >> {calls}
echo 'count=5 first=100 curr=90 min=80 max=120 avg=95.5 std=7 p5=81 median=95 p95=110'
case "$*" in *use_nnapi*) {nnapi} ;; esac
"""
FULL = (
    "echo 'Explicitly applied NNAPI delegate, and the model graph will be completely executed by "
    "the delegate.'"
)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Bench:
    """A folder that is a phone, and jobs for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        script(self.bin / "getprop", GETPROP)
        self.runner_is()
        self.adb_is()

    def adb_is(self, harm: str = ":") -> None:
        body = ADB.format(log=self.folder / "adb.log", bin=self.bin, harm=harm)
        self.adb = script(self.folder / "adb", body)

    def runner_is(self, nnapi: str = FULL) -> None:
        body = RUNNER.format(calls=self.folder / "calls", nnapi=nnapi)
        self.program = script(self.folder / "benchmark_model", body)

    def job(self, *, backends: str = "cpu", **settings: Any) -> Job:
        told: dict[str, Any] = {"gate": Gate(battery_celsius=None), "launches": 2} | settings
        cases = make_cases([model("a"), model("b")], parse_backends(backends), [1])
        return Job(
            phone=Phone(adb=self.adb, serial="FOLDER1"),
            cases=cases,
            settings=Settings(**told),
            output=self.folder / "out.json",
            runner=open_runner(self.program),
        )

    def run(self, job: Job) -> dict[str, Any]:
        (found,) = run_jobs([job])
        if isinstance(found, DeviceError):
            raise found
        stored = json.loads((self.folder / "out.json").read_text())
        assert stored == json.loads(json.dumps(found))
        return found

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(install, "ROOT", str(tmp_path / "remote"))
    return Bench(tmp_path)


def numbers(document: dict[str, Any]) -> dict[str, list[int]]:
    return {
        case["id"]: [one["number"] for one in case["launches"] if one["latency"]]
        for case in document["cases"]
    }


def test_every_launch_is_one_round_trip(bench: Bench) -> None:
    found = bench.run(bench.job())
    assert numbers(found) == {"a cpu x1": [1, 2], "b cpu x1": [1, 2]}
    words = (bench.folder / "adb.log").read_text().split()
    # inspection, folder, hashes and --help, four launches, clean-up; runner and two models pushed
    assert (words.count("shell"), words.count("push")) == (3 + 4 + 1, 3)
    assert not list((bench.folder / "remote").glob("*"))


def test_models_take_turns(bench: Bench) -> None:
    bench.run(bench.job(launches=3))
    order = [call.split(".tflite")[0][-12:] for call in bench.calls()]
    a, b = (one.model.sha256[:12] for one in bench.job().cases)
    assert order == [a, b, b, a, a, b]


def test_a_file_that_arrives_damaged_is_refused(bench: Bench) -> None:
    bench.adb_is(harm='echo x >> "$3"')
    with pytest.raises(LostDeviceError, match="sha256"):
        bench.run(bench.job())
    assert not list((bench.folder / "remote").glob("*"))


def test_a_failed_case_does_not_stop_the_others(bench: Bench) -> None:
    bench.runner_is(nnapi="kill -SEGV $$")
    found = bench.run(bench.job(backends="nnapi,cpu"))
    assert numbers(found)["a cpu x1"] == [1, 2]
    failed = found["cases"][0]
    assert [one["signal"] for one in failed["launches"]] == [11]
    assert failed["summary"]["verdict"] == "FAILED: CrashError"
    error = first_error(found)
    assert error is not None
    assert error["code"] == 18


def test_the_linter_is_asked_only_about_graphs_that_left(bench: Bench) -> None:
    asked: list[str] = []

    def refused(case: Any, api: int | None) -> tuple[str, ...]:
        assert api is None
        asked.append(case.id)
        return ("TILE",)

    job = replace(bench.job(backends="nnapi", launches=1), refused=refused)
    assert bench.run(job)["cases"][0]["summary"]["verdict"] == "ok"
    assert asked == []
    bench.runner_is(nnapi=FULL.replace("completely", "partially"))
    job = replace(job, runner=open_runner(bench.program))
    summary = bench.run(job)["cases"][0]["summary"]
    assert summary["verdict"] == "PARTIAL: TILE"
    assert summary["reasons"][0].endswith("edgesr lint predicts it to refuse TILE")


def test_a_runner_that_gives_up_is_told_with_the_refused_operators(bench: Bench) -> None:
    bench.runner_is(nnapi="echo 'ERROR: Disallowed CPU fallback detected.'; exit 1")
    job = replace(bench.job(backends="nnapi", launches=1), refused=lambda *_: ("TILE", "CAST"))
    error = first_error(bench.run(replace(job, runner=open_runner(bench.program))))
    assert error is not None
    assert error["code"] == 20
    assert error["message"].endswith("edgesr lint predicts it to refuse TILE, CAST")


def test_a_run_goes_on_where_it_ended(bench: Bench) -> None:
    first = bench.run(bench.job(launches=1))
    again = bench.run(replace(bench.job(launches=3), earlier=first))
    assert numbers(again) == {"a cpu x1": [1, 2, 3], "b cpu x1": [1, 2, 3]}
    assert len(bench.calls()) == 6
    assert again["cases"][0]["launches"][0] == first["cases"][0]["launches"][0]
    assert again["created"] == first["created"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda d: d["device"].update(hash="other"), "device hash"),
        (lambda d: d["runner"].update(sha256="other"), "runner sha256"),
        (lambda d: d["cases"][0]["model"].update(sha256="other"), "the file is another"),
    ],
)
def test_a_run_does_not_go_on_elsewhere(bench: Bench, harm: Any, told: str) -> None:
    first = bench.run(bench.job(launches=1))
    harm(first)
    with pytest.raises(UsageError, match=told):
        bench.run(replace(bench.job(), earlier=first))


def test_a_sustained_run_launches_until_its_time_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()  # a second passes with every look at it
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    found = bench.run(bench.job(sustained_s=5, launches=3))
    for case in found["cases"]:
        listed = [one["number"] for one in case["launches"]]
        assert listed == list(range(1, len(listed) + 1))
        assert len(listed) > 1
    assert "--min_secs=5" in bench.calls()[0]


def test_memory_is_measured_apart(bench: Bench) -> None:
    bench.run(bench.job(memory=True, launches=1))
    peaks = ["report_peak_memory" in call for call in bench.calls()]
    assert peaks == [False, False, True, True]


def test_a_hot_phone_is_measured_and_marked(bench: Bench) -> None:
    script(
        bench.bin / "dumpsys",
        'case $1 in battery) printf "level: 50\\ntemperature: 450\\n" ;; esac',
    )
    found = bench.run(bench.job(gate=Gate(max_wait_s=0), launches=1))
    summary = found["cases"][0]["summary"]
    assert not summary["valid"]
    assert summary["verdict"] == "HOT START"
    assert "battery at 45.0" in summary["reasons"][0]


def test_a_model_that_memory_cannot_hold_is_refused_before_the_push(bench: Bench) -> None:
    script(bench.bin / "cat", "echo 'MemTotal:  2048 kB'")
    job = bench.job()
    large = [replace(one, model=replace(one.model, least_bytes=3 << 20)) for one in job.cases]
    with pytest.raises(NoSpaceError, match="needs 3 MiB, the phone has 2 MiB"):
        bench.run(replace(job, cases=large))


def test_a_full_phone_is_refused_before_the_push(bench: Bench) -> None:
    script(bench.bin / "df", "echo '/dev/x 100 60 40 60% /data'")
    with pytest.raises(NoSpaceError, match="40 KiB"):
        bench.run(bench.job())
    assert "push" not in (bench.folder / "adb.log").read_text()


def test_no_runner_says_how_to_get_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESR_CACHE", str(bench.folder / "cache"))
    with pytest.raises(RunnerError, match="device setup"):
        bench.run(replace(bench.job(), runner=None))


def test_a_backend_that_the_runner_lacks_is_found_before_any_launch(bench: Bench) -> None:
    with pytest.raises(UsageError, match="npu"):
        bench.run(bench.job(backends="cpu,npu"))
    assert not (bench.folder / "calls").exists()


def test_what_was_prepared_is_put_back(bench: Bench) -> None:
    log = bench.folder / "settings.log"
    for name in ("settings", "svc", "input", "cmd"):
        script(bench.bin / name, f'echo "{name} $*" >> {log}\n[ "$1" = get ] && echo 0\ntrue')
    bench.run(bench.job(prepare=True, launches=1))
    words = log.read_text().splitlines()
    assert "cmd connectivity airplane-mode enable" in words
    assert words[-2:] == [
        "settings put global stay_on_while_plugged_in 0",
        "cmd connectivity airplane-mode disable",
    ]
