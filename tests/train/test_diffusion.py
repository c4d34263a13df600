"""Denoisers train on the trainer that plain networks train on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.data.cache import DecodedImages
from edgesr.errors import ConfigError, DiffusionError
from edgesr.imresize import downscale
from edgesr.models.checkpoint import read_weights
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import load_denoiser
from edgesr.train.config import TrainConfig
from edgesr.train.denoiser_config import path_of, sampled_path
from edgesr.train.diffusion import Diffusion, check_diffusion
from edgesr.train.loop import TrainResult
from edgesr.upscalers import load_upscaler
from tests.train.running import stop_at, train_in

SETTINGS: dict[str, Any] = {
    "model": "resshift_px_s",
    "scale": 2,
    "steps": 6,
    "batch_size": 2,
    "patch_size": 8,
    "loss": "l2",
    "learning_rate": 1e-3,
    "precision": "fp32",
    "val_every": 3,
    "save_every": 3,
    "log_every": 1,
}


@pytest.fixture
def images(photo: Callable[..., NDArray[np.uint8]]) -> DecodedImages:
    hr = tuple(photo(48, 64, seed) for seed in range(2))
    lr = tuple(downscale(one, 2) for one in hr)
    return DecodedImages(scale=2, names=("a", "b"), lr=lr, hr=hr, sha256=("", ""))


def go(
    folder: Path,
    images: DecodedImages,
    listen: Callable[[dict[str, Any]], None] = lambda _event: None,
    **changes: Any,
) -> TrainResult:
    config = TrainConfig(**{**SETTINGS, **changes})
    check_diffusion(config)
    return train_in(
        folder, config, images, lambda rank: Diffusion(config=config, rank=rank), listen
    )


@pytest.mark.parametrize("dream", [False, True])
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path: Path, images: DecodedImages, *, dream: bool
) -> None:
    go(tmp_path / "whole", images, dream=dream)
    assert go(tmp_path / "parts", images, stop_at(4), dream=dream).interrupted
    go(tmp_path / "parts", images, dream=dream)
    whole, parts = (
        read_weights(tmp_path / name / "last.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_fresh_denoiser_is_off_by_the_residual_and_training_lowers_that(
    tmp_path: Path,
) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3))
    blocks = tuple(np.kron(one, np.ones((8, 8, 1))).astype(np.uint8) for one in levels)
    lr = tuple(downscale(one, 2) for one in blocks)
    images = DecodedImages(scale=2, names=("a", "b"), lr=lr, hr=blocks, sha256=("", ""))
    losses: list[float] = []

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "train":
            losses.append(event["loss"])

    go(tmp_path / "run", images, listen, steps=80, val_every=80, save_every=80)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:3])


def test_the_file_says_which_path_it_was_trained_on(tmp_path: Path, images: DecodedImages) -> None:
    go(tmp_path / "run", images, steps=3, kappa=0.75, diffusion_steps=5)
    loaded = load_denoiser(tmp_path / "run")
    assert loaded.schedule.name == "resshift"
    assert loaded.schedule.parameters == {
        "num_steps": 5,
        "kappa": 0.75,
        "min_noise": 0.2,
        "power": 0.3,
    }
    assert loaded.schedule.sampling_steps is None
    assert loaded.prediction == "residual"


def test_a_run_is_judged_and_used_in_the_steps_that_it_samples_in(
    tmp_path: Path, images: DecodedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    forward = Denoiser.forward

    def counted(self: Denoiser, x: Tensor, timestep: Tensor, *others: Tensor) -> Tensor:
        if not self.training:
            asked.append(int(timestep[0]))
        return forward(self, x, timestep, *others)

    monkeypatch.setattr(Denoiser, "forward", counted)
    changes: dict[str, Any] = {"diffusion_steps": 15, "sampling_steps": 4, "steps": 3}
    go(tmp_path / "run", images, samples=0, **changes)
    assert asked == [15, 11, 8, 4] * len(images.hr)
    asked.clear()
    assert load_denoiser(tmp_path / "run").schedule.sampling_steps == 4
    load_upscaler(tmp_path / "run")(images.lr[0])
    assert asked == [15, 11, 8, 4]


def test_the_first_step_of_a_path_is_as_large_as_its_power_says() -> None:
    even, steep = (
        path_of(TrainConfig(**SETTINGS, diffusion_steps=15, shift_power=power))
        for power in (1.0, 0.3)
    )
    growth = even.noise[2:] / even.noise[1:-1]
    assert growth == pytest.approx(np.full(14, growth[0]))
    assert steep.noise[2] / steep.noise[1] > 1.5 * growth[0]


def test_more_sampling_steps_than_states_are_refused() -> None:
    with pytest.raises(DiffusionError, match="5 steps, want 1 to 4"):
        sampled_path(TrainConfig(**SETTINGS, sampling_steps=5))
    with pytest.raises(ConfigError, match="sampling_steps = -1: want at least 0"):
        TrainConfig(**SETTINGS, sampling_steps=-1)


def test_the_log_has_the_mean_loss_of_every_state(tmp_path: Path, images: DecodedImages) -> None:
    events: list[dict[str, Any]] = []
    changes: dict[str, Any] = {"steps": 10, "val_every": 10, "save_every": 10, "samples": 0}
    go(tmp_path / "run", images, events.append, log_every=10, batch_size=4, **changes)
    (event,) = (event for event in events if event["event"] == "train")
    by_state = event["loss_by_timestep"]
    assert list(by_state) == ["1", "2", "3", "4"]
    assert min(by_state.values()) <= event["loss"] <= max(by_state.values())
    lines = [json.loads(one) for one in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [one["loss_by_timestep"] for one in lines if one["event"] == "train"] == [by_state]


def test_frequency_weight_adds_the_lack_of_amplitudes(images: DecodedImages) -> None:
    lr, hr = (
        torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).float()
        for some in (images.lr, images.hr)
    )
    torch.manual_seed(3)

    def loss(weight: float) -> float:
        objective = Diffusion(config=TrainConfig(**SETTINGS, frequency_weight=weight))
        return objective.loss(network, lr, hr, 0).item()

    network = Diffusion(config=TrainConfig(**SETTINGS)).build()
    none, one, two = (loss(weight) for weight in (0.0, 1.0, 2.0))
    assert one > none
    assert two - none == pytest.approx(2 * (one - none), rel=1e-4)


def test_parameters_that_a_path_does_not_take_are_left_out() -> None:
    path = path_of(TrainConfig(**{**SETTINGS, "diffusion_path": "irsde", "diffusion_steps": 10}))
    assert (path.name, path.num_steps) == ("irsde", 10)


def test_integers_of_a_denoiser_cannot_be_trained() -> None:
    with pytest.raises(ConfigError, match="is a denoiser"):
        check_diffusion(TrainConfig(**SETTINGS, qat=True))


@pytest.mark.parametrize("changes", [{"kappa": 0.0}, {"min_noise": -1.0}, {"diffusion_steps": 1}])
def test_a_path_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DiffusionError, match="schedule resshift"):
        check_diffusion(TrainConfig(**{**SETTINGS, **changes}))
