"""``edgesr quantize`` of a diffusion denoiser: integers written, trained, refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgesr.cli import run
from edgesr.diffusion.integer_files import load_steps
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import build_denoiser

QUICK = ["--rounding", "nearest", "--bias-correction", "none", "--no-equalize"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_denoiser("resshift_px_s", 2)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    path = tmp_path / "float.safetensors"
    save_denoiser(
        path,
        network.state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 2}),
        prediction="residual",
    )
    return path


@pytest.fixture
def photos(tmp_path: Path, save_photo: Callable[..., Path]) -> Path:
    for number in range(2):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 64, seed=number)
    return tmp_path / "photos"


@pytest.fixture
def held_out(tmp_path: Path, save_photo: Callable[..., Path]) -> Path:
    return save_photo(tmp_path / "held_out" / "9.png", 32, 32, seed=9).parent


def test_trained_steps_are_written_and_narrow_ones_never_exported(
    checkpoint: Path,
    photos: Path,
    held_out: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    integers = tmp_path / "w6.safetensors"
    images = ["--calibration", str(photos), "--data", str(held_out)]
    asked = ["quantize", str(checkpoint), "--output", str(integers), *images, *QUICK]
    assert run([*asked, "--scheme", "wi6_ai6", "--qat-steps", "2"]) == 0
    assert "QAT" in capsys.readouterr().out
    loaded, model = load_steps(integers)
    assert loaded.metadata["qat_steps"] == "2"
    assert model.timesteps == (2, 1)
    assert not list(tmp_path.glob("*.state.pt"))
    export = ["export", str(tmp_path / "w6.tflite"), "--checkpoint", str(integers), *images]
    assert run(export) == 3
    assert "W6A6 (simulated), which no kernel computes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "compare ways to quantize it with --compare, or write its integers with --output"),
        (["--output", "x.safetensors", "--qat-rank", "2"], "--qat-rank is for training"),
        (["--compare", "--qat-steps", "9"], "--compare runs methods as they are"),
        (["--compare", "--with", "x"], "--with is for plain networks"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert run(["quantize", str(checkpoint), *flags]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_plain_network_has_no_steps_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(path, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    assert run(["quantize", str(path), "--qat-steps", "9"]) == 2
    assert "are for diffusion denoisers" in " ".join(capsys.readouterr().err.split())
