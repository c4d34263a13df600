"""``edgesr verify`` at the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.cli import run
from edgesr.zoo import DEFAULT, ZOO


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(ZOO[DEFAULT].tflite, tmp_path / "model.tflite"))


def test_the_shipped_file_is_exact_and_can_be_replayed(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(model)]) == 0
    text = capsys.readouterr().out
    for kernels in ("xnnpack", "builtin", "reference"):
        assert f"{kernels}: 0 of " in text
    certificate = model.with_suffix(".certificate.json")
    assert run(["verify", "--replay", str(certificate)]) == 0
    assert "as model.certificate.json promises" in capsys.readouterr().out
    model.write_bytes(model.read_bytes()[:-1] + b"\x01")
    assert run(["verify", "--replay", str(certificate), "--model", str(model)]) == 1
    assert "was changed or is another file" in capsys.readouterr().err


def test_images_and_families_can_be_chosen(
    model: Path, tmp_path: Path, save_photo: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    save_photo(tmp_path / "photos" / "a.png")
    flags = ["--images", str(tmp_path / "photos"), "--kernels", "reference", "--json"]
    assert run(["verify", str(model), *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in document["inputs"]] == ["a.png"]
    assert list(document["kernels"]) == ["reference"]


def test_a_simulation_that_differs_exits_1(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgesr.quant.simulate import KERNELS

    swapped = {**KERNELS, "reference": KERNELS["xnnpack"]}
    monkeypatch.setattr("edgesr.quant.simulate.KERNELS", swapped)
    assert run(["verify", str(model)]) == 1
    error = capsys.readouterr().err
    assert "file and simulation differ in" in error
    assert "reference: up to" in error


def test_truncated_and_missing_files_exit_3(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.write_bytes(model.read_bytes()[:5000])
    assert run(["verify", str(model)]) == 3
    assert "damaged or truncated" in capsys.readouterr().err
    assert run(["verify", str(model.with_name("none.tflite"))]) == 3
    assert not list(model.parent.glob("*.json"))


@pytest.mark.parametrize(
    "flags",
    [[], ["model.tflite", "--ops"], ["--docs", "page.md"], ["--kernels", "npu", "x.tflite"]],
)
def test_flags_that_do_not_fit_exit_2(flags: list[str]) -> None:
    assert run(["verify", *flags]) == 2


def test_the_operations_become_results_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgesr.cli.verify._SPEED_SHAPE", (24, 32))
    results, page = tmp_path / "exactness.json", tmp_path / "exactness.md"
    arguments = ["verify", "--ops", "--values", "1", "--results", str(results)]
    assert run(arguments) == 0
    assert "CONV_2D: " in capsys.readouterr().err
    document = json.loads(results.read_text())
    assert document["schema"] == "edgesr/exactness/1"
    assert document["speed"]["simulation"]["xnnpack"] > 0
    assert run(["verify", "--results", str(results), "--docs", str(page)]) == 0
    assert "| TRANSPOSE_CONV |" in page.read_text()


def test_an_export_leaves_a_certificate(
    tmp_path: Path, save_photo: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 80, seed=number)
    output = tmp_path / "out" / "net.tflite"
    flags = ["--checkpoint", str(ZOO[DEFAULT].weights), "--calibration", str(tmp_path / "photos")]
    assert run(["export", str(output), *flags, "--max-drop", "1"]) == 0
    assert "net.certificate.json" in capsys.readouterr().out
    assert run(["verify", "--replay", str(output.with_suffix(".certificate.json"))]) == 0
