import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesr.lint.analyzers import Verdict, verdicts
from edgesr.lint.check import LintReport, lint
from edgesr.lint.findings import CODES
from edgesr.lint.report import text_lines, to_json
from edgesr.lint.sarif import sarif
from edgesr.lint.targets import load_target

Make = Callable[..., Any]


@pytest.fixture
def report(sheet: Make) -> LintReport:
    s = sheet()
    y = s.conv(s.op("TILE", [s.conv(s.x, 3), s.ints("times", [1, 1, 1, 4])], (1, 6, 8, 12)))
    content = s.done(s.pixel_shuffle(y, 2))
    return lint(content, load_target("nnapi"), name="out/bad model.tflite")


def test_sarif_has_what_the_standard_demands(report: LintReport) -> None:
    log = sarif(report)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(rules) == len(set(rules))
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert len(run["results"]) == len(report.findings) > 0
    for result, finding in zip(run["results"], report.findings, strict=True):
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["ruleId"] == rules[result["ruleIndex"]] == finding.code
        assert isinstance(result["message"]["text"], str)
        (location,) = result["locations"]
        artifact = location["physicalLocation"]["artifactLocation"]
        assert artifact == {"uri": "out/bad%20model.tflite", "index": 0}
        (logical,) = location["logicalLocations"]
        assert set(logical) == {"name", "fullyQualifiedName", "kind"}
    assert json.loads(json.dumps(log, allow_nan=False)) == log


def test_json_holds_every_part_of_every_finding(report: LintReport) -> None:
    values = to_json(report, (Verdict(name="other", text="fine"),))
    assert values["schema"] == "edgesr/lint/1"
    assert values["clean"] is False
    assert len(values["findings"]) == len(report.findings)
    for one in values["findings"]:
        assert one["code"] in CODES
        assert one["what"]
        assert one["why"]
        assert one["remedy"]
    assert values["others"][0]["text"] == "fine"
    json.dumps(values, allow_nan=False)


def test_text_says_what_why_and_what_to_do(report: LintReport) -> None:
    text = "\n".join(text_lines(report))
    assert "error EL102 operator 1 (TILE)" in text
    assert "why: " in text
    assert "repeat the image with CONCATENATION" in text
    assert "partitions (predicted)" in text or "partition (predicted)" in text


def test_the_installed_programs_are_asked(tmp_path: Path, sheet: Make) -> None:
    s = sheet()
    path = tmp_path / "m.tflite"
    path.write_bytes(s.done(s.conv(s.op("ABS", [s.conv(s.x)]))))
    (counted,) = verdicts(path, load_target("xnnpack"))
    assert (counted.delegated, counted.partitions) == (2, 2)
    (none,) = verdicts(path, load_target("ethos-u"))
    assert "has none for ethos-u" in none.text


@pytest.mark.slow
def test_the_gpu_check_is_believed_only_if_it_ever_refuses(tmp_path: Path, sheet: Make) -> None:
    s = sheet()
    path = tmp_path / "m.tflite"
    path.write_bytes(s.done(s.conv(s.op("ROUND", [s.conv(s.x)], version=1))))
    (gpu,) = verdicts(path, load_target("litert-gpu"))
    assert "no verdict" in gpu.text or "ROUND" in gpu.text


@pytest.mark.slow
def test_a_program_that_crashes_is_only_said_to(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"no model")
    (found,) = verdicts(path, load_target("xnnpack"))
    assert found.partitions is None
    assert found.text


def test_no_code_is_used_that_is_not_explained() -> None:
    import re

    folder = Path(__file__).resolve().parents[2] / "edgesr" / "lint"
    used = {
        code for path in folder.glob("*.py") for code in re.findall(r"EL\d{3}", path.read_text())
    }
    assert used == set(CODES)
