"""JSON, JUnit XML, Markdown and annotations of the gate."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edgesr.bench import gate_report
from edgesr.bench.budgets import load_budgets
from edgesr.bench.gate import Check, Outcome, Request, run_gate
from edgesr.cli import run
from edgesr.data.layouts import find_dataset


@pytest.fixture
def outcome(workplace: Path) -> Outcome:
    dataset = find_dataset(workplace / "images", 3)
    budgets = load_budgets(None, {"max_bytes": 1000})
    model = workplace / "model.tflite"
    return run_gate(
        Request(model=model, dataset=dataset, budgets=budgets, reference="best.safetensors")
    )


def with_failures(outcome: Outcome, count: int, message: str = "bad") -> Outcome:
    checks = tuple(Check(name=f"c{i}", status="failed", message=message) for i in range(count))
    return replace(outcome, checks=checks)


def test_all_reports_agree(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--report", "out/r.json", "--junit", "out/j.xml", "--markdown", "out/s.md"]
    command = ["check", "model.tflite", "--data", "images", "--max-bytes", "1000", "--annotations"]
    assert run([*command, *flags]) == 1
    printed = capsys.readouterr()
    assert "model.tflite: failed" in printed.out
    (annotation,) = [line for line in printed.err.splitlines() if line.startswith("::error")]
    assert "max_bytes" in annotation
    report = json.loads((workplace / "out" / "r.json").read_text())
    assert report["schema"] == "edgesr/check/1"
    assert not report["passed"]
    assert report["environment"]["cores"] >= 1
    assert len(report["images"]) == report["dataset"]["images"] == 6
    tree = ET.parse(workplace / "out" / "j.xml")  # noqa: S314 - written by ourselves
    (suite,) = tree.getroot()
    assert (suite.get("failures"), suite.get("tests")) == ("1", str(4 + 6))
    (failure,) = suite.iter("failure")
    assert "want 1,000 at most" in (failure.get("message") or "")
    summary = (workplace / "out" / "s.md").read_text()
    assert "## edgesr check: model.tflite failed" in summary
    assert "| ❌ failed | max_bytes |" in summary


def test_annotations_are_on_where_github_runs_it(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workplace.is_dir()
    command = ["check", "model.tflite", "--data", "images", "--max-bytes", "1000"]
    assert run(command) == 1
    assert "::error" not in capsys.readouterr().err
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run(command) == 1
    assert "::error title=edgesr check max_bytes::" in capsys.readouterr().err


@pytest.mark.parametrize(("failures", "lines"), [(0, 0), (1, 1), (10, 10), (11, 10), (40, 10)])
def test_at_most_ten_annotations(outcome: Outcome, failures: int, lines: int) -> None:
    found = gate_report.annotations(with_failures(outcome, failures))
    assert len(found) == lines
    if failures > 10:
        assert found[-1].endswith(f"and {failures - 9} more failures")


def test_a_message_cannot_leave_its_annotation_cell_or_attribute(outcome: Outcome) -> None:
    odd = with_failures(outcome, 1, '100 % |\n::error::x <b>\x00 "q" `c`')
    (line,) = gate_report.annotations(odd)
    assert "\n" not in line
    assert "100 %25 |%0A" in line
    row = next(line for line in gate_report.markdown(odd).splitlines() if "| c0 |" in line)
    assert "100 % \\| ::error::x &lt;b>" in row
    tree = ET.fromstring(gate_report.junit(odd))  # noqa: S314
    (failure,) = tree.iter("failure")
    assert (failure.get("message") or "").endswith('<b>? "q" `c`')


def test_the_summary_keeps_within_its_room(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    text = "".join(f"| line {number} é |\n" for number in range(2000))
    gate_report.append_summary(path, text, room=1000)
    content = path.read_bytes()
    assert len(content) <= 1000
    assert content.decode().startswith("before\n| line 0 é |\n")
    assert content.endswith(b"Cut: the summary has no more room.\n")
    gate_report.append_summary(path, text, room=1000)
    assert path.read_bytes() == content
    assert gate_report.SUMMARY_BYTES == 1024 * 1024


def test_images_with_the_largest_loss_come_first(outcome: Outcome) -> None:
    rows = gate_report.markdown(outcome).split("| image |")[1].splitlines()[2:8]
    losses = [float(row.split("|")[3]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert gate_report.to_json(outcome)["images"][0]["drop_db"] in losses
