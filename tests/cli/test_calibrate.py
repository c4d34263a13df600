"""``edgesr calibrate`` at the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgesr.cli import run
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights


@pytest.fixture
def arguments(tmp_path: Path, save_photo: Callable[..., Path]) -> list[str]:
    torch.manual_seed(0)
    checkpoint = tmp_path / "net.safetensors"
    save_weights(checkpoint, build_model("ncnet", 2).state_dict(), model="ncnet", scale=2)
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", 48, 48, seed=number)
    photos = str(tmp_path / "photos")
    return ["calibrate", str(checkpoint), "--calibration", photos]


def test_it_prints_tables_warns_on_stderr_and_writes_page_and_json(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out" / "report.html"
    assert run([*arguments, "--seeds", "2", "--counts", "3", "--html", str(page)]) == 0
    captured = capsys.readouterr()
    assert "drop over 2 seeds" in captured.out
    assert "fewer images" in captured.out
    assert "warning: calibrated on 3 images" in captured.err
    document = json.loads(page.with_suffix(".json").read_text())
    assert document["schema"] == "edgesr/calibration/1"
    assert [point["images"] for point in document["curve"]["points"]] == [3]
    assert "<svg" in page.read_text()


def test_json_is_one_document_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--seeds", "1", "--counts", "3", "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["calibration"]["images"] == 3
    assert len(document["warnings"]) == captured.err.count("warning: ")


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--counts", "1,zero"], 2, "want whole numbers"),
        (["--counts", "0,4"], 2, "want whole numbers"),
        (["--html", "report.txt"], 2, "ends in .html"),
        (["--observer", "guess"], 2, "--observer guess is unknown"),
        (["--seeds", "0"], 2, "--seeds"),
        (["--data", "nowhere"], 3, "nowhere"),
    ],
)
def test_bad_flags_say_what_is_wanted(
    arguments: list[str],
    flags: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*arguments, *flags]) == code
    assert message in capsys.readouterr().err


def test_a_json_file_of_something_else_is_not_overwritten(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "report.json"
    other.write_text('{"schema": "mine"}')
    assert run([*arguments, "--html", str(tmp_path / "report.html")]) == 3
    assert "would be overwritten" in capsys.readouterr().err
    assert other.read_text() == '{"schema": "mine"}'
