"""Two results against each other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.bench.compare import compare_files
from edgesr.bench.results import read_document
from edgesr.cli import run
from edgesr.errors import DataError

MakeResult = Callable[..., Path]


def _slowed(path: Path, factor: float) -> Path:
    document = json.loads(path.read_text())
    for entry in document["timings"]:
        entry["wall_ms"] = [factor * value for value in entry["wall_ms"]]
    other = path.with_name(f"slowed-{path.name}")
    other.write_text(json.dumps(document))
    return other


def test_a_result_against_itself_shows_no_difference(make_result: MakeResult) -> None:
    path = make_result()
    comparison = compare_files(path, path)
    assert {change.verdict for change in comparison.changes} == {"no difference"}
    assert comparison.only == ()
    assert comparison.notes == ()


def test_a_slower_result_is_slower_and_a_little_is_not(make_result: MakeResult) -> None:
    path = make_result()
    verdicts = [
        [change.verdict for change in compare_files(path, _slowed(path, factor)).changes]
        for factor in (1.5, 0.6, 1.04)
    ]
    assert verdicts == [["slower"] * 2, ["faster"] * 2, ["no difference"] * 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": "48x36"}, "shape 24x36"),
        ({"threads": 4}, "threads 1"),
        ({"what": "training step"}, "what inference"),
        ({"suite": {"name": "mai22", "protocol": "mai"}}, "suite name None"),
        ({"timings": []}, "no contender in common"),
    ],
)
def test_results_of_another_kind_are_refused(
    changes: dict[str, object], message: str, make_result: MakeResult
) -> None:
    with pytest.raises(DataError, match=message):
        compare_files(make_result(), make_result(**changes))


def test_another_protocol_is_refused(make_result: MakeResult) -> None:
    suites = [{"name": "s", "protocol": protocol} for protocol in ("mai", "classic-y")]
    with pytest.raises(DataError, match="suite protocol mai"):
        compare_files(make_result(suite=suites[0]), make_result(suite=suites[1]))


def test_other_machines_and_load_are_told(make_result: MakeResult) -> None:
    other = {"cpu": "another", "cores": 2, "load_1min": 5.0, "packages": {}}
    notes = compare_files(make_result(), make_result(environment=other)).notes
    assert notes == (
        "cpu differs: made up before, another after",
        "the machine was busy after: load 5 on 2 cores",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[1]", "has no schema"),
        ('{"schema": "other/1"}', "has no schema of edgesr"),
        ('{"schema": "edgesr/eval/1"}', "is edgesr/eval/1, want edgesr/bench/1"),
        ('{"schema": "edgesr/bench/1", "x": NaN}', "it holds NaN"),
    ],
)
def test_damaged_results_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_document(path, {"edgesr/bench/1"})


def test_damaged_timings_are_refused(make_result: MakeResult) -> None:
    for timings in ([{"name": "a"}], [{"name": "a", "wall_ms": [0], "cpu_ms": [0]}], 3):
        with pytest.raises(DataError, match="measure again"):
            compare_files(make_result(), make_result(timings=timings))


def test_the_command_prints_verdicts_and_writes_them(
    make_result: MakeResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_result()
    slowed, written = str(_slowed(path, 2)), tmp_path / "comparison.json"
    assert run(["bench", "--compare", str(path), slowed, "-o", str(written)]) == 0
    assert "slower" in capsys.readouterr().out
    assert json.loads(written.read_text())["changes"][0]["verdict"] == "slower"
    assert run(["bench", "--compare", str(path), slowed, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "edgesr/bench-comparison/1"
    assert run(["bench", "--compare", str(path), str(tmp_path / "none.json")]) == 3
