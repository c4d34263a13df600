"""``edgesr export`` at the command line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgesr.cli import run
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.quant.ptq import PtqResult, quantize_graph


@pytest.fixture
def arguments(tmp_path: Path, save_photo: Callable[..., Path]) -> list[str]:
    torch.manual_seed(0)
    checkpoint = tmp_path / "net.safetensors"
    save_weights(checkpoint, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 80, seed=number)
    photos = str(tmp_path / "photos")
    return ["--checkpoint", str(checkpoint), "--calibration", photos]


def test_it_writes_a_file_a_report_and_one_table(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.tflite"
    assert run(["export", "--int8", str(output), *arguments]) == 0
    captured = capsys.readouterr()
    assert "0 of" in captured.out
    assert "CONCATENATION" in captured.out
    assert "exporting" in captured.err
    assert output.is_file()
    assert json.loads((tmp_path / "model.json").read_text())["model"] == "abpn"


def test_json_is_one_document_on_stdout(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.tflite"
    assert run(["export", str(output), "--io", "uint8", "--json", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["io"], document["verification"]["mismatches"]) == ("uint8", 0)


def test_int16x8_is_certified_and_float16_is_not(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for precision, certified in (("int16x8", True), ("float16", False)):
        output = tmp_path / f"{precision}.tflite"
        assert run(["export", str(output), "-p", precision, *arguments]) == 0
        assert output.with_suffix(".certificate.json").is_file() is certified
        assert json.loads(output.with_suffix(".json").read_text())["precision"] == precision
    assert run(["verify", str(tmp_path / "float16.tflite")]) == 3
    assert "it computes in floats, without a simulation" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--int8", "--float32"], "exclude each other"),
        (["--precision", "float16", "--int8"], "--precision and --int8 exclude each other"),
        (["--precision", "int8", "--float32"], "exclude each other"),
        (["--float32", "--io", "uint8"], "--io is for int8 and int16x8 files"),
        (["--precision", "weight_int4", "--io", "int8"], "has float32 input and output"),
        (["--precision", "int16x8", "--challenge"], "--challenge is for int8 files"),
        (["--precision", "int2"], "int2"),
        (["--shape", "360"], "want HEIGHTxWIDTH"),
        (["--challenge"], "--challenge writes a file of that name"),
    ],
)
def test_flags_that_contradict_each_other_exit_2(
    flags: list[str],
    message: str,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["export", str(tmp_path / "model.tflite"), *flags, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("model*"))


def test_another_suffix_and_a_missing_checkpoint_are_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(tmp_path / "model.bin"), *arguments]) == 2
    assert "ends in .tflite" in capsys.readouterr().err
    missing = ["--checkpoint", str(tmp_path / "none.safetensors")]
    assert run(["export", str(tmp_path / "model.tflite"), *missing]) == 3
    assert "no such run, weights file or shipped network" in capsys.readouterr().err


def test_a_drop_beyond_the_limit_exits_1(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr("edgesr.export.precisions.quantize_graph", _saturated(quantize_graph))
        flags = ["--max-drop", "0.01"]
        assert run(["export", str(tmp_path / "model.tflite"), *flags, *arguments]) == 1
    error = capsys.readouterr().err
    assert "refused: PSNR drops by" in error
    assert (tmp_path / "model.tflite.rejected").is_file()
    assert not (tmp_path / "model.tflite").exists()


def _saturated(quantize: Callable[..., object]) -> Callable[..., object]:
    """Quantize a network and then shift the bias of its last layer."""

    def damaged(*arguments: object, **options: object) -> PtqResult:
        result = quantize(*arguments, **options)
        assert isinstance(result, PtqResult)
        weight = result.quantized.weights["body.12"]
        shifted = replace(weight, bias=weight.bias + 2**26)
        weights = {**result.quantized.weights, "body.12": shifted}
        return replace(result, quantized=replace(result.quantized, weights=weights))

    return damaged
