"""``edgesr eval`` samples denoisers as ``edgesr upscale`` does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgesr.cli import run
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import build_denoiser

SavePhoto = Callable[..., Path]
FAST = ["--protocol", "classic-y", "--threads", "1"]


@pytest.fixture
def images(tmp_path: Path, save_photo: SavePhoto) -> Path:
    save_photo(tmp_path / "set" / "0.png", 36, 42)
    return tmp_path / "set"


@pytest.fixture
def denoiser(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_denoiser("resshift_px_s", 2)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    path = tmp_path / "denoiser.safetensors"
    save_denoiser(
        path,
        network.state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
        prediction="residual",
    )
    return path


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[tuple[int, float]]:
    assert run(["eval", *arguments, *FAST, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    return [
        (one["network_evaluations"], one["mean"]["classic-y"]["psnr"])
        for one in document["evaluations"]
    ]


def test_steps_seed_sampler_and_fix_are_heard(
    images: Path, denoiser: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [str(denoiser), "--data", str(images)]
    choices = (
        ["--steps", "2"],
        ["--steps", "2", "--seed", "1"],
        ["--steps", "2", "--sampler", "ancestral"],
        ["--steps", "2", "--colour-fix", "mean_std"],
    )
    found = [measured(capsys, *data, *flags)[0] for flags in choices]
    assert [evaluations for evaluations, _ in found] == [2, 2, 2, 2]
    assert len({psnr for _, psnr in found}) == len(choices)
    assert measured(capsys, *data, *choices[1])[0] == found[1]


def test_the_closing_line_says_how_often_the_network_ran(
    images: Path, denoiser: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", str(denoiser), "--data", str(images), *FAST]) == 0
    assert "4 network evaluations an image" in capsys.readouterr().out


def test_steps_are_for_the_denoisers_among_the_sources(
    images: Path, denoiser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.safetensors"
    save_weights(plain, build_model("ncnet", 2).state_dict(), model="ncnet", scale=2)
    flags = ["--data", str(images), "--scale", "2", "--steps", "3"]
    compared = measured(capsys, "bicubic", str(plain), str(denoiser), *flags)
    assert [evaluations for evaluations, _ in compared] == [0, 1, 3]
    assert run(["eval", str(plain), *flags]) == 2
    assert "no diffusion denoiser among them" in capsys.readouterr().err
    assert run(["eval", str(denoiser), *flags[:-1], "9"]) == 3
    assert "9 steps, want 1 to 4" in capsys.readouterr().err
