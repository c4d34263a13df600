import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgesr.cli import run
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.zoo import DEFAULT, ZOO


def test_the_shipped_model_is_clean_and_the_exit_code_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["lint", "--target", "nnapi", "--json", "--no-others"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["clean"] is True
    assert values["subgraphs"][0]["partitions"] == 1


def test_errors_make_the_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", DEFAULT, "-t", "ethos-u", "--no-others"]) == 1
    captured = capsys.readouterr()
    assert "error EL101 operator 10 (DEPTH_TO_SPACE)" in captured.out
    assert "3 errors for ethos-u" in captured.err


def test_sarif_is_written_beside_the_text(tmp_path: Path) -> None:
    path = tmp_path / "lint.sarif"
    assert run(["lint", "--sarif", str(path), "--no-others"]) == 0
    assert json.loads(path.read_text())["version"] == "2.1.0"


@pytest.mark.parametrize("content", [None, b"", b"not a model, whatever its name says", "cut"])
def test_what_is_no_model_gives_exit_code_3(
    content: bytes | str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.tflite"
    if content == "cut":
        path.write_bytes(ZOO[DEFAULT].tflite.read_bytes()[:5000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    assert run(["lint", str(path)]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(path) in error


def test_an_unknown_target_gives_exit_code_3_and_the_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["lint", "--target", "tpu"]) == 3
    assert "choose one of cpu, ethos-u, hexagon" in capsys.readouterr().err


def test_targets_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--targets"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"nnapi: the NNAPI delegate, \d\d operators, levels 1 to 8", out)
    assert "source: AOSP" in out


def test_fix_writes_only_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fixed.tflite"
    assert run(["lint", "--fix", str(path), "--no-others"]) == 0
    assert "nothing to rewrite" in capsys.readouterr().out
    assert not path.exists()


def test_fix_wants_a_tflite_name(tmp_path: Path) -> None:
    assert run(["lint", "--fix", str(tmp_path / "fixed.bin")]) == 2


@pytest.fixture
def export(tmp_path: Path, save_photo: Callable[..., Path]) -> list[str]:
    torch.manual_seed(0)
    checkpoint = tmp_path / "net.safetensors"
    save_weights(checkpoint, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    for number in range(2):
        save_photo(tmp_path / "photos" / f"{number}.png", 48, 64, seed=number)
    photos = str(tmp_path / "photos")
    output = str(tmp_path / "model.tflite")
    return ["export", output, "--checkpoint", str(checkpoint), "--calibration", photos]


def test_export_puts_a_file_that_the_target_takes_into_place(
    export: list[str], tmp_path: Path
) -> None:
    assert run([*export, "--target", "nnapi"]) == 0
    assert (tmp_path / "model.tflite").is_file()
    assert json.loads((tmp_path / "model.json").read_text())["model"] == "abpn"


def test_export_refuses_what_the_target_refuses_and_leaves_the_old_file(
    export: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.tflite").write_bytes(b"the old one")
    assert run([*export, "--target", "ethos-u"]) == 1
    assert "DEPTH_TO_SPACE" in capsys.readouterr().err
    assert (tmp_path / "model.tflite").read_bytes() == b"the old one"
    assert not (tmp_path / "model.json").exists()


def test_export_keeps_what_its_own_checks_refuse_beside_the_output(
    export: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run([*export, "--target", "nnapi", "--max-drop", "0"])
    rejected = tmp_path / "model.tflite.rejected"
    assert code == int(rejected.is_file())
    if code:
        assert str(tmp_path / "model.tflite") in capsys.readouterr().err
