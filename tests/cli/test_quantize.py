"""``edgesr quantize`` at the command line, and what can be done with its file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgesr.cli import run
from edgesr.export.tflite import write_int8
from edgesr.litert import open_model
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.models.quantized import load_exportable
from edgesr.upscalers import load_upscaler


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_weights(path, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    return path


@pytest.fixture
def arguments(checkpoint: Path, tmp_path: Path, save_photo: Callable[..., Path]) -> list[str]:
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 80, seed=number)
    return ["quantize", str(checkpoint), "--calibration", str(tmp_path / "photos")]


def test_its_integers_are_those_of_the_exported_file(
    arguments: list[str], tmp_path: Path, photo: Callable[..., np.ndarray]
) -> None:
    integers = tmp_path / "int8.safetensors"
    assert run([*arguments, "--output", str(integers)]) == 0
    lr = photo(40, 52, seed=9)
    _, quantized = load_exportable(integers)
    assert quantized is not None
    wanted = open_model(write_int8(quantized, io="int8", shape=None, metadata={})).upscale(lr)
    upscaler = load_upscaler(integers)
    assert np.array_equal(upscaler(lr), wanted)
    assert upscaler.name.endswith("(W8A8)")


def test_a_narrow_scheme_is_run_but_never_exported(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    integers, photos = tmp_path / "w4.safetensors", str(tmp_path / "photos")
    narrow = ["--scheme", "wi4_ai4", "--output", str(integers)]
    assert run([*arguments, *narrow]) == 0
    assert "(simulated)" in capsys.readouterr().out
    assert run(["eval", str(integers), "--data", photos, "--limit", "1"]) == 0
    assert "W4A4 (simulated)" in capsys.readouterr().out.replace("\n", " ")
    file = tmp_path / "w4.tflite"
    export = ["export", str(file), "--checkpoint", str(integers), "--data", photos]
    assert run(export) == 3
    assert "simulated" in capsys.readouterr().err
    assert not file.exists()


def test_recipes_are_compared_in_one_table_and_one_file(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, results = tmp_path / "int8.safetensors", tmp_path / "results.json"
    assert run([*arguments, "--output", str(trained)]) == 0
    compare = ["--compare", "--only", "unprotected", "--only", "ours (", "--limit", "1"]
    assert run([*arguments, *compare, "--with", str(trained), "--results", str(results)]) == 0
    assert "unprotected" in capsys.readouterr().out
    document = json.loads(results.read_text())
    assert document["schema"] == "edgesr/quantization/1"
    names = [row["name"] for row in document["rows"]]
    assert names == ["unprotected", "ours (+ equalization)", "W8A8: QAT"]
    figures = [row["figures"]["held-out"] for row in document["rows"]]
    assert figures[0]["psnr_to_float"] < figures[1]["psnr_to_float"]


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        (["--compare", "--output", "x.safetensors"], 2, "writes no integers"),
        (["--only", "x"], 2, "are for --compare"),
        (["--compare", "--only", "nothing like it"], 2, "no recipe is named so"),
        (["--output", "x.tflite"], 2, "ends in .safetensors"),
        (["--observer", "best"], 3, "choose one of"),
        (["--scheme", "wi2_ai2"], 2, "wi4_ai4"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    flags: list[str], code: int, text: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, *flags]) == code
    assert text in " ".join(capsys.readouterr().err.split())


def test_integers_of_another_network_are_not_put_beside(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_weights(other, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    integers = tmp_path / "other_int8.safetensors"
    quantize = ["quantize", str(other), *arguments[2:], "--output", str(integers)]
    assert run(quantize) == 0
    compare = ["--compare", "--only", "unprotected", "--limit", "1", "--with", str(integers)]
    assert run([*arguments, *compare]) == 3
    assert "another float network" in capsys.readouterr().err
    assert run([*arguments, *compare[:-1], arguments[1]]) == 3
    assert "holds no integers" in capsys.readouterr().err
