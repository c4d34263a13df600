"""``edgesr cost`` and its table."""

import json
from pathlib import Path

import pytest

from edgesr.cli import run
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights


def test_networks_stand_beside_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "imdn", "bsrn"]) == 0
    printed = capsys.readouterr()
    for text in ("893,936", "58.5315 G", "58.4308 G", "154.1407 M", "256x256", "1 MAC is 2 FLOPs"):
        assert text in printed.out
    assert "warning: bsrn x4: ntire22 counts" in printed.err


def test_json_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "best.safetensors"
    save_weights(path, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    assert run(["cost", str(path), "ncnet", "--shape", "24x32", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edgesr/cost/1"
    assert document["environment"]["packages"]["torch"]
    assert set(document["counters"]) == {"macs", "ntire22", "fvcore"}
    assert [model["name"] for model in document["models"]] == [str(path), "ncnet x3"]
    assert document["models"][1]["macs"] == 52_146 * 24 * 32


def test_one_bad_source_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "unet", "abpn", "missing.tflite", "--json"]) == 3
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert [model["name"] for model in document["models"]] == ["abpn x3"]
    assert [failure["source"] for failure in document["failed"]] == ["unet", "missing.tflite"]
    assert printed.err.count("error: ") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name at least one network"),
        (["ncnet", "--shape", "360"], 2, "want HEIGHTxWIDTH"),
        (["ncnet", "--scale", "0"], 2, "scale"),
        (["ncnet", "--scale", "7"], 3, "has no scale 7"),
        (["rfdn", "--shape", "8x8"], 3, "does not run on an image"),
    ],
)
def test_bad_arguments_give_one_line_and_the_right_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(["cost", *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
