"""RSD: the gradient of the student, the fake beside it, and what cannot be asked for."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.schedules import resshift
from edgesr.errors import CheckpointError, ConfigError, DiffusionError
from edgesr.imresize import downscale
from edgesr.models.checkpoint import read_weights
from edgesr.models.denoiser import Prediction
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.train.config import TrainConfig
from edgesr.train.distill import OneStep, check_distill
from edgesr.train.rsd import Rsd, rsd_losses
from edgesr.train.state import load_state
from edgesr.train.teacher import load_teacher
from tests.train.distilling import go, objective_of
from tests.train.running import stop_at

NAME, SCALE = "resshift_px_s", 2
PATH = {"num_steps": 5, "kappa": 0.3, "min_noise": 0.1, "power": 1.0}
SETTINGS: dict[str, Any] = {
    "model": NAME,
    "scale": SCALE,
    "distill": "rsd",
    "diffusion_steps": 5,
    "kappa": 0.3,
    "min_noise": 0.1,
    "shift_power": 1.0,
    "steps": 4,
    "batch_size": 2,
    "patch_size": 8,
    "loss": "l2",
    "fake_updates": 2,
    "precision": "fp32",
    "val_every": 2,
    "save_every": 2,
    "log_every": 1,
    "samples": 1,
}


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """The best denoiser of one-pixel images that are normal round ``mean``; the centre is 0."""

    path: DiffusionPath
    mean: Tensor
    std: Tensor
    prediction: Prediction

    def __call__(self, x: Tensor, timestep: Tensor, _condition: Tensor, /) -> Tensor:
        signal, noise = (
            torch.from_numpy(table.copy())[timestep].reshape(-1, 1, 1, 1)
            for table in (self.path.signal, self.path.noise)
        )
        gain = signal * self.std**2 / (signal**2 * self.std**2 + noise**2)
        return self.mean + gain * (x - signal * self.mean)


@pytest.mark.parametrize("prediction", ["x0", "residual"])
@pytest.mark.parametrize("state", [1, 3, 5])
def test_the_gradient_is_that_of_the_distance_between_the_best_denoisers(
    prediction: Prediction, state: int
) -> None:
    """Gauss-Hermite nodes make the mean over student and noise exact: all is quadratic."""
    path = resshift(num_steps=5, kappa=0.8, min_noise=0.1, power=1.0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    z, noise = (torch.from_numpy(one.reshape(-1, 1, 1, 1)) for one in np.meshgrid(nodes, nodes))
    share = torch.from_numpy(np.outer(weights, weights).reshape(-1) / (2 * np.pi))
    mean, std = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.4, 0.3))
    real_mean, real_std = (torch.tensor(v, dtype=torch.float64) for v in (-0.2, 0.7))
    teacher = Gaussian(path=path, mean=real_mean, std=real_std, prediction=prediction)
    fake = Gaussian(path=path, mean=mean.detach(), std=std.detach(), prediction=prediction)
    made = mean + std * z
    states = torch.full((len(made),), state)
    losses = rsd_losses(
        teacher,
        fake,
        path,
        states,
        made,
        noise=noise,
        condition=made,
        centre=torch.zeros_like(made),
    )
    found = torch.autograd.grad((share * losses).sum(), (mean, std))

    signal, spread = float(path.signal[state]), float(path.noise[state])
    variance = signal**2 * std**2 + spread**2
    real_gain = signal * real_std**2 / (signal**2 * real_std**2 + spread**2)
    offset = (mean - real_mean) * (1 - signal * real_gain)
    distance = offset**2 + (signal * std**2 / variance - real_gain) ** 2 * variance
    expected = torch.autograd.grad(distance, (mean, std))
    torch.testing.assert_close((share * losses).sum(), distance)
    torch.testing.assert_close(found, expected)


def write_teacher(folder: Path, prediction: Prediction = "residual") -> Path:
    torch.manual_seed(5)
    network = build_denoiser(NAME, SCALE)
    for weight in network.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.02)
    folder.mkdir(parents=True)
    save_denoiser(
        folder / "best.safetensors",
        network.state_dict(),
        model=NAME,
        scale=SCALE,
        schedule=Schedule(name="resshift", parameters=PATH, sampling_steps=2),
        prediction=prediction,
    )
    return folder


@pytest.fixture
def images(photo: Callable[..., NDArray[np.uint8]]) -> DecodedImages:
    hr = tuple(photo(32, 48, seed) for seed in range(2))
    lr = tuple(downscale(one, SCALE) for one in hr)
    return DecodedImages(scale=SCALE, names=("a", "b"), lr=lr, hr=hr, sha256=("", ""))


def lesson_of(objective: OneStep) -> Rsd:
    assert isinstance(objective.lesson, Rsd)
    return objective.lesson


def config_of(teacher: Path, **changes: Any) -> TrainConfig:
    return TrainConfig(**{**SETTINGS, "start_from": teacher, **changes})


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, images: DecodedImages) -> None:
    config = config_of(write_teacher(tmp_path / "run"))

    go(tmp_path / "whole", config, images)
    assert go(tmp_path / "parts", config, images, stop_at(3)).interrupted
    go(tmp_path / "parts", config, images)
    whole, parts = (
        read_weights(tmp_path / name / "last.safetensors")[0] for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    one, two = (load_state(tmp_path / name).kept for name in ("whole", "parts"))
    assert one.keys() == two.keys() == {"fake", "fake_optimizer"}
    assert all(torch.equal(one["fake"][key], two["fake"][key]) for key in one["fake"])
    first, second = (one["fake_optimizer"]["state"], two["fake_optimizer"]["state"])
    assert all(torch.equal(first[key]["exp_avg"], second[key]["exp_avg"]) for key in first)
    assert first[0]["step"] == 4 * config.fake_updates


def test_a_state_without_the_fake_is_refused(tmp_path: Path, images: DecodedImages) -> None:
    config = config_of(write_teacher(tmp_path / "run"))
    go(tmp_path / "student", config, images)
    state = torch.load(tmp_path / "student" / "training_state.pt", weights_only=True)
    torch.save({**state, "kept": {}}, tmp_path / "student" / "training_state.pt")
    with pytest.raises(CheckpointError, match="lacks fake, which this run trains beside"):
        go(tmp_path / "student", config_of(tmp_path / "run", steps=6), images)


def test_the_fake_learns_what_the_student_makes(tmp_path: Path) -> None:
    config = config_of(write_teacher(tmp_path / "run"), fake_updates=30, learning_rate=3e-3)
    objective = objective_of(config)
    student = objective.build()
    torch.manual_seed(8)
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.02)
    hr = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(1)).float()
    lr = torch.nn.functional.avg_pool2d(hr, SCALE)
    objective.loss(student, lr, hr, 0)
    parts = objective.report()["loss_parts"]
    assert objective.report()["loss_parts"] == {}
    assert parts["distill"] > 0  # the teacher errs more on the student's images than the fake
    module = lesson_of(objective).teacher.module
    assert all(one.grad is None for one in module.parameters())


def test_the_gradient_reaches_the_student_and_not_the_fake(tmp_path: Path) -> None:
    objective = objective_of(config_of(write_teacher(tmp_path / "run")))
    student = objective.build()
    lesson = lesson_of(objective)
    hr = torch.full((1, 3, 16, 16), 90.0)
    lr = torch.full((1, 3, 8, 8), 90.0)
    loss = objective.loss(student, lr, hr, 0)
    before = [one.grad.clone() for one in lesson.fake.parameters() if one.grad is not None]
    loss.backward()  # type: ignore[no-untyped-call]
    after = [one.grad for one in lesson.fake.parameters() if one.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert any(bool(one.grad.any()) for one in student.parameters() if one.grad is not None)


@pytest.mark.parametrize("changes", [{"student_states": 3}, {"frequency_weight": 1.0}])
def test_a_student_says_what_taught_it(
    tmp_path: Path, images: DecodedImages, changes: dict[str, Any]
) -> None:
    config = config_of(write_teacher(tmp_path / "run"), steps=2, **changes)
    go(tmp_path / "student", config, images)
    loaded = load_denoiser(tmp_path / "student")
    assert loaded.schedule == Schedule(
        name="resshift", parameters=PATH, sampling_steps=1, is_distilled=True
    )
    assert loaded.metadata["distilled_by"] == "rsd"
    lines = (tmp_path / "student" / "log.jsonl").read_text().splitlines()
    parts = json.loads(lines[0])["loss_parts"]
    wanted = {"distill", "fake", "truth"} | ({"frequency"} & {k[:9] for k in changes})
    assert parts.keys() == wanted


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"distill_weight": 0.0}, ConfigError, "distill_weight = 0: distill = rsd learns nothing"),
        ({"score_weight": 1.0}, ConfigError, r"score_weight = 1\.0: is for distill = sinsr"),
        ({"student_states": 6}, DiffusionError, "6 steps, want 1 to 5"),
        ({"start_from": None}, ConfigError, "there is no teacher"),
        ({"dream": True}, ConfigError, "is for the training of the teacher"),
    ],
)
def test_settings_that_contradict_rsd_are_named(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_distill(config_of(Path("runs/x"), **changes))


@pytest.mark.parametrize("key", ["fake_updates", "student_states"])
def test_counts_start_at_one(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} = 0: want at least 1"):
        config_of(Path("runs/x"), **{key: 0})


def test_a_teacher_of_noise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="predicts eps"):
        load_teacher(config_of(write_teacher(tmp_path / "run", "eps")))
