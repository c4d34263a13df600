"""A denoiser's file upscales photographs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgesr.cli import run
from edgesr.errors import CheckpointError, DiffusionError, UsageError
from edgesr.imresize import upscale_bicubic
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.load import Sampling

Photo = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A denoiser that has learned nothing: it predicts the centre."""
    path = tmp_path / "fresh.safetensors"
    write(path, build_denoiser("resshift_px_s", 2))
    return path


@pytest.fixture
def restless(tmp_path: Path) -> Path:
    """A denoiser whose prediction depends on what it sees."""
    torch.manual_seed(0)
    network = build_denoiser("resshift_px_s", 2)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    path = tmp_path / "restless.safetensors"
    write(path, network)
    return path


def write(path: Path, network: torch.nn.Module, **parameters: float) -> None:
    save_denoiser(
        path,
        network.state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4, **parameters}),
        prediction="residual",
    )


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "dpm_solver_2m", "sa_solver"])
def test_a_fresh_denoiser_gives_bicubic_interpolation(
    sampler: str, fresh: Path, photo: Photo
) -> None:
    lr = photo(20, 26)
    sr = load_upscaler(fresh, sampling=Sampling(sampler=sampler))(lr)
    difference = np.abs(sr.astype(int) - upscale_bicubic(lr, 2).astype(int))
    assert difference.max() <= 1


def test_the_seed_decides_and_nothing_else(restless: Path, photo: Photo) -> None:
    lr = photo(20, 26)
    first, again, other = (
        load_upscaler(restless, sampling=Sampling(seed=seed))(lr) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_fewer_steps_are_taken_and_named(restless: Path) -> None:
    assert load_upscaler(restless).name.endswith("(4 steps)")
    assert load_upscaler(restless, sampling=Sampling(steps=1)).name.endswith("(1 step)")
    with pytest.raises(DiffusionError, match="9 steps, want 1 to 4"):
        load_upscaler(restless, sampling=Sampling(steps=9))


@pytest.mark.parametrize("source", ["ncnet_x3", "bicubic"])
@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(steps=4), "has no steps; drop --steps"),
        (Sampling(seed=1), "is no diffusion denoiser; drop --seed"),
        (Sampling(sampler="ancestral"), "is no diffusion denoiser; drop --sampler"),
        (Sampling(colour_fix="low_pass"), "is no diffusion denoiser; drop --colour-fix"),
    ],
)
def test_sampling_is_for_denoisers_alone(source: str, sampling: Sampling, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_upscaler(source, scale=3, sampling=sampling)


def test_an_unknown_sampler_and_a_damaged_schedule_are_named(fresh: Path, tmp_path: Path) -> None:
    with pytest.raises(DiffusionError, match="sampler 'euler' is not known"):
        load_upscaler(fresh, sampling=Sampling(sampler="euler"))
    bad = tmp_path / "bad.safetensors"
    write(bad, build_denoiser("resshift_px_s", 2), speed=3.0)
    with pytest.raises(CheckpointError, match="schedule resshift cannot be made of"):
        load_upscaler(bad)


def test_the_command_takes_steps_and_seed(
    restless: Path, tmp_path: Path, save_photo: Callable[..., Path]
) -> None:
    source, target = save_photo(tmp_path / "a.png"), tmp_path / "b.png"
    flags = ["--model", str(restless), "--steps", "2", "--seed", "3", "-o", str(target)]
    assert run(["upscale", str(source), *flags]) == 0
    assert target.is_file()
