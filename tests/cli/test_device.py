import json
from pathlib import Path
from typing import Any

import pytest

from edgesr.cli import run
from edgesr.zoo import DEFAULT

pytest.importorskip("fastjsonschema", reason="needs edgesr[device]")

HOST = ["device", "bench", DEFAULT, "--target", "host", "--shape", "16x16"]
BRIEF = ["--runs", "12", "--min-secs", "0", "--warmup", "1", "--launches", "2"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("device") / "host.json"
    backends = ["--backend", "cpu,cpu:builtin", "--csv", str(path.with_suffix(".csv"))]
    assert run([*HOST, *BRIEF, *backends, "-o", str(path)]) == 0
    return path, json.loads(path.read_text())


def test_the_host_measures_the_same_cases(measured: tuple[Path, dict[str, Any]]) -> None:
    path, found = measured
    assert [case["id"] for case in found["cases"]] == [
        "ncnet_x3_int8 cpu x1",
        "ncnet_x3_int8 cpu:builtin x1",
    ]
    for case in found["cases"]:
        assert [one["number"] for one in case["launches"]] == [1, 2]
        for one in case["launches"]:
            assert len(one["samples_us"]) == 12
            latency = one["latency"]
            assert latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p99"]
            assert latency["source"] == "raw"
    assert len(path.with_suffix(".csv").read_text().splitlines()) == 5


def test_a_result_is_valid_compares_and_reports(
    measured: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = measured
    assert run(["device", "validate", str(path)]) == 0
    assert run(["device", "compare", str(path), str(path), "--json"]) == 0
    told = capsys.readouterr().out
    changes = json.loads(told.partition("\n")[2])["changes"]
    assert {one["verdict"] for one in changes} <= {"no difference", "not valid", "too few launches"}
    assert {one["span"]["ratio"] for one in changes} == {1.0}
    page = path.with_suffix(".html")
    assert run(["device", "report", str(path), "--html", str(page)]) == 0
    assert "cpu:builtin" in page.read_text()
    assert run(["device", "report", str(path)]) == 0
    assert "| ncnet_x3_int8 |" in capsys.readouterr().out


def test_the_schema_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["device", "validate"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_a_plan_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["device", "bench", DEFAULT, "--shape", "16x16", "--backend", "cpu,gpu", "--dry-run"]
    assert run([*words, "--launches", "2", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["launches"]
    assert [one["case"].split()[1] for one in plan] == ["cpu", "gpu", "gpu", "cpu"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["bench"], 2, "one model"),
        (["bench", "missing.tflite"], 3, "missing.tflite"),
        (["bench", DEFAULT], 2, "--shape"),
        (["bench", DEFAULT, "--shape", "0x4"], 2, "--shape"),
        (["bench", DEFAULT, "--shape", "8x8", "--backend", "tpu"], 2, "tpu"),
        (["bench", DEFAULT, "--shape", "8x8", "--backend", ","], 2, "names none"),
        (["bench", DEFAULT, "--shape", "8x8", "--threads", "0"], 2, "--threads"),
        (["bench", DEFAULT, "--shape", "8x8", "--threads", "two"], 2, "--threads"),
        (["bench", DEFAULT, "--shape", "8x8", "--cooldown", "warm"], 2, "--cooldown"),
        (["bench", DEFAULT, "--shape", "8x8", "--sustained", "soon"], 2, "--sustained"),
        (["bench", DEFAULT, "--shape", "8x8", "--signature", "x"], 2, "no signature"),
        (["bench", DEFAULT, "--shape", "8x8", "--delegate-option", "x"], 2, "KEY:VALUE"),
        (["bench", DEFAULT, "--shape", "8x8", "--target", "host", "--memory"], 2, "--memory"),
        (["bench", DEFAULT, "--shape", "8x8", "--target", "host", "--backend", "gpu"], 2, "gpu"),
        (["bench", DEFAULT, "--shape", "8x8", "--adb", "/missing/adb"], 10, "--adb"),
        (["bench", DEFAULT, "--resume", "missing.json"], 3, "missing.json"),
        (["list", "--adb", "/missing/adb"], 10, "--adb"),
        (["setup"], 2, "--runner"),
        (["setup", "--runner", "missing"], 17, "missing"),
        (["setup", "--url", "ftp://x/y"], 17, "https"),
        (["compare", "a.json", "b.json"], 3, "a.json"),
        (["report"], 2, "one result"),
        (["validate", "missing.json"], 3, "missing.json"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["device", *words]) == code
    err = capsys.readouterr().err
    assert told in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_gate_of_no_percentage_is_refused(measured: tuple[Path, dict[str, Any]]) -> None:
    path = str(measured[0])
    assert run(["device", "compare", path, path, "--fail-above", "much"]) == 2
