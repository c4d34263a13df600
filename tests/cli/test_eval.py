"""``edgesr eval`` and its tables."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgesr.cli import run
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights

SavePhoto = Callable[..., Path]


@pytest.fixture
def images(tmp_path: Path, save_photo: SavePhoto) -> Path:
    for seed in range(3):
        save_photo(tmp_path / "set" / f"{seed}.png", 36, 42, seed)
    return tmp_path / "set"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "runs" / "first" / "best.safetensors"
    path.parent.mkdir(parents=True)
    save_weights(path, build_model("ncnet", 3).state_dict(), model="ncnet", scale=3)
    return path


def test_every_number_stands_beside_its_protocol(
    images: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", str(weights), "--data", str(images)]) == 0
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if "bicubic" in line]
    for protocol in ("mai", "ntire-esr", "classic-y"):
        assert any(protocol in row for row in rows)
    assert "3 images in" in printed.out
    assert "mean SR - HR in grey levels" in printed.out
    assert "flat folder: 3 HR images" in printed.err


def test_several_sources_are_compared(
    images: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", str(images), "--scale", "3", "--protocol", "classic-y", "--limit", "2"]
    assert run(["eval", "bicubic", str(weights), *flags, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first, second = document["evaluations"]
    assert (first["upscaler"], second["upscaler"]) == ("bicubic", str(weights))
    assert first["mean"] == first["bicubic"] == second["bicubic"]
    assert list(first["mean"]) == ["classic-y"]
    assert first["count"] == 2


def test_the_newest_run_is_the_default(
    images: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(weights.parents[2])
    assert run(["eval", "--data", str(images), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["evaluations"][0]["upscaler"] == "runs/first"


def test_lr_of_another_folder_is_used_and_checked(
    tmp_path: Path, images: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        save_photo(tmp_path / "lr" / f"{seed}x3.png", 12, 14, seed)
    command = ["eval", "bicubic", "-s", "3", "--data", str(images), "--lr", str(tmp_path / "lr")]
    assert run([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(image["lr_sha256"] for image in document["evaluations"][0]["images"])
    save_photo(tmp_path / "lr" / "1x3.png", 12, 15)
    assert run(command) == 3
    assert "does not fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bicubic"], 2, "--scale"),
        (["bicubic", "-s", "3", "--protocol", "psnr"], 2, "protocol"),
        (["bicubic", "-s", "3", "--limit", "0"], 2, "limit"),
        (["missing.safetensors"], 3, "no such model or file"),
    ],
)
def test_bad_arguments_give_one_line_and_the_right_code(
    images: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    assert run(["eval", *arguments, "--data", str(images)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_checkpoint_of_another_scale_is_refused(
    images: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", str(weights), "--data", str(images), "--scale", "2"]) == 3
    assert "is of scale 3, but scale 2 was asked for" in capsys.readouterr().err


def test_different_scales_are_not_compared(
    tmp_path: Path, images: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "x2.safetensors"
    save_weights(other, build_model("ncnet", 2).state_dict(), model="ncnet", scale=2)
    assert run(["eval", str(weights), str(other), "--data", str(images)]) == 2
    assert "cannot compare different scales" in capsys.readouterr().err
