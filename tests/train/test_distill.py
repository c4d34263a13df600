"""A distilled denoiser takes one step, and is taught by the three losses of SinSR."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.diffusion.conditioned import enlarge
from edgesr.errors import CheckpointError, ConfigError, DiffusionError
from edgesr.imresize import downscale
from edgesr.models.checkpoint import read_weights, save_weights
from edgesr.models.denoiser import Denoiser, Prediction
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.models.registry import build_model
from edgesr.train.config import TrainConfig
from edgesr.train.denoising import generator_of
from edgesr.train.distill import OneStep, check_distill
from edgesr.train.qat import check_qat
from edgesr.train.run import go as go_run
from edgesr.train.run import open_run
from edgesr.train.teacher import load_teacher
from edgesr.train.warm_start import load_warm_start
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.load import Sampling
from tests.train.distilling import go, objective_of
from tests.train.running import stop_at

NAME, SCALE, KAPPA = "resshift_px_s", 2, 0.5
PARAMETERS = {"num_steps": 4, "kappa": KAPPA, "min_noise": 0.2, "power": 0.3}
SETTINGS: dict[str, Any] = {
    "model": NAME,
    "scale": SCALE,
    "distill": "sinsr",
    "steps": 4,
    "batch_size": 2,
    "patch_size": 8,
    "loss": "l2",
    "learning_rate": 1e-3,
    "precision": "fp32",
    "val_every": 2,
    "save_every": 2,
    "log_every": 1,
}


def write_teacher(
    folder: Path,
    *,
    prediction: Prediction = "residual",
    schedule: str = "resshift",
    sampling_steps: int | None = None,
    distilled_by: str | None = None,
    **parameters: float,
) -> Path:
    """Write a run folder whose denoiser has random weights in every layer."""
    torch.manual_seed(5)
    network = build_denoiser(NAME, SCALE)
    for weight in network.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.06)
    folder.mkdir(parents=True, exist_ok=True)
    known = Schedule(
        name=schedule,
        parameters={**PARAMETERS, **parameters} if schedule == "resshift" else parameters,
        sampling_steps=sampling_steps,
    )
    save_denoiser(
        folder / "best.safetensors",
        network.state_dict(),
        model=NAME,
        scale=SCALE,
        schedule=known,
        prediction=prediction,
        metadata={"distilled_by": distilled_by} if distilled_by else None,
    )
    return folder


@pytest.fixture
def images(photo: Callable[..., NDArray[np.uint8]]) -> DecodedImages:
    hr = tuple(photo(32, 48, seed) for seed in range(2))
    lr = tuple(downscale(one, SCALE) for one in hr)
    return DecodedImages(scale=SCALE, names=("a", "b"), lr=lr, hr=hr, sha256=("", ""))


def config_of(teacher: Path | None, **changes: Any) -> TrainConfig:
    return TrainConfig(**{**SETTINGS, "start_from": teacher, **changes})


class Slow:
    """The losses one image at a time, from the formulas of the paper and its ``eta``."""

    def __init__(self, prediction: Prediction, taken: tuple[int, ...] = (4, 3, 2, 1)) -> None:
        last = taken[0]
        first = min(0.2 / KAPPA, 0.2)
        roots = [first * (0.99 / first) ** ((i / (last - 1)) ** 0.3) for i in range(last)]
        self.eta = [0.0, *(root**2 for root in roots)]
        self.prediction, self.taken = prediction, taken

    def ask(self, network: Denoiser, x: Tensor, t: int, lr: Tensor) -> Tensor:
        y, kept, noise = enlarge(lr, SCALE), 1 - self.eta[t], KAPPA**2 * self.eta[t]
        shown = y + 0.01 * kept / (0.01 * kept**2 + noise) * (x - y)
        made: Tensor = network(shown, torch.tensor([t]), lr)
        return made if self.prediction == "x0" else made + enlarge(lr, SCALE)

    def taught(self, network: Denoiser, x: Tensor, lr: Tensor) -> Tensor:
        y = enlarge(lr, SCALE)
        for t, u in zip(self.taken, (*self.taken[1:], 0), strict=True):
            now, then = self.eta[t], self.eta[u]
            x0 = self.ask(network, x, t, lr).clamp(-1, 1)
            m = math.sqrt(then / now)
            j = then - math.sqrt(then * now)
            x = (1 - m - j) * x0 + m * x + j * y  # 1 - m - j is the paper's k
        return x

    def seen(self, teacher: Denoiser, x0: Tensor, lr: Tensor, little: Tensor) -> Tensor:
        eta = self.eta[1]
        noisy = x0 + eta * (enlarge(lr, SCALE) - x0) + KAPPA * math.sqrt(eta) * little
        return self.ask(teacher, noisy, 1, lr)

    def losses(  # noqa: PLR0913, PLR0917
        self,
        student: Denoiser,
        teacher: Denoiser,
        x: Tensor,
        lr: Tensor,
        x0: Tensor,
        little: Tensor,
    ) -> tuple[Tensor, ...]:
        with torch.no_grad():
            taught = self.taught(teacher, x, lr)
            back = self.ask(student, x0, 0, lr)
            wanted = self.seen(teacher, taught, lr, little)
        last = self.taken[0]
        made = self.ask(student, x, last, lr)
        return (
            (made - taught).square().mean(),
            (self.ask(student, taught, 0, lr) - x).square().mean(),
            (self.ask(student, back, last, lr) - x0).square().mean(),
            (self.seen(teacher, made, lr, little) - wanted).square().mean(),
        )


LEVELS = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(1))


def batch() -> tuple[Tensor, Tensor]:
    hr = LEVELS.float()
    return torch.nn.functional.avg_pool2d(hr, SCALE), hr


def student_of(objective: OneStep) -> Denoiser:
    """Return a student that has moved away from its teacher."""
    student = objective.build()
    assert isinstance(student, Denoiser)
    torch.manual_seed(8)
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.02)
    return student


@pytest.mark.parametrize("prediction", ["residual", "x0"])
@pytest.mark.parametrize(
    "weights",
    [(1, 1, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0.5, 2, 3, 4)],
)
def test_losses_and_gradients_are_those_of_the_paper(
    tmp_path: Path, prediction: Prediction, weights: tuple[float, float, float, float]
) -> None:
    names = ("distill_weight", "inverse_weight", "truth_weight", "score_weight")
    teacher = write_teacher(tmp_path / "run", prediction=prediction)
    objective = objective_of(config_of(teacher, **dict(zip(names, weights, strict=True))))
    lr, hr = batch()
    fast, slow = student_of(objective), student_of(objective)
    loss = objective.loss(fast, lr, hr, 7)
    loss.backward()  # type: ignore[no-untyped-call]

    random = generator_of(0, 7, 0, 2)
    noise = torch.randn(hr.shape, generator=random)
    assert torch.randint(1, 2, (2,), generator=random).tolist() == [1, 1]  # the cleanest quarter
    little = torch.randn(hr.shape, generator=random)
    oracle, total = Slow(prediction), torch.zeros(())
    for i in range(2):
        small, x0 = (one[i : i + 1] / 127.5 - 1 for one in (lr, hr))
        x = enlarge(small, SCALE) + KAPPA * math.sqrt(oracle.eta[4]) * noise[i : i + 1]
        teaching = objective.teacher.module
        found = oracle.losses(slow, teaching, x, small, x0, little[i : i + 1])
        total = total + sum(w * part for w, part in zip(weights, found, strict=True)) / 2
    expected = total * 127.5**2
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)
    for a, b in zip(fast.parameters(), slow.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-2, atol=1e-4 * float(b.grad.abs().max()))
    assert all(one.grad is None for one in objective.teacher.module.parameters())


def test_the_taught_image_is_that_of_the_steps_the_teacher_samples_in(tmp_path: Path) -> None:
    run = write_teacher(tmp_path / "run", num_steps=15, sampling_steps=4)
    changes = {"diffusion_steps": 15, "inverse_weight": 0.0, "truth_weight": 0.0}
    objective = objective_of(config_of(run, **changes))
    lr, hr = batch()
    student = student_of(objective)
    loss = objective.loss(student, lr, hr, 7)

    noise = torch.randn(hr.shape, generator=generator_of(0, 7, 0, 2))
    oracle, total = Slow("residual", (15, 11, 8, 4)), torch.zeros(())
    for i in range(2):
        small = lr[i : i + 1] / 127.5 - 1
        x = enlarge(small, SCALE) + KAPPA * math.sqrt(oracle.eta[15]) * noise[i : i + 1]
        taught = oracle.taught(objective.teacher.module, x, small)
        total = total + (oracle.ask(student, x, 15, small) - taught).square().mean() / 2
    torch.testing.assert_close(loss, total * 127.5**2, rtol=1e-4, atol=0)


def test_steps_that_are_not_the_teachers_are_refused(tmp_path: Path) -> None:
    run = write_teacher(tmp_path / "run", num_steps=15, sampling_steps=4)
    load_teacher(config_of(run, diffusion_steps=15, sampling_steps=4))
    with pytest.raises(ConfigError, match="samples in 4 steps, but sampling_steps = 3"):
        load_teacher(config_of(run, diffusion_steps=15, sampling_steps=3))


def test_a_teacher_whose_file_leaves_defaults_out_is_on_the_same_path(tmp_path: Path) -> None:
    run = write_teacher(tmp_path / "run")
    state, metadata = read_weights(run / "best.safetensors")
    short = {**metadata, "schedule_parameters": '{"num_steps": 4, "kappa": 0.5, "min_noise": 0.2}'}
    save_weights(run / "best.safetensors", state, model=NAME, scale=SCALE, metadata=short)
    assert load_teacher(config_of(run)) is not None


def test_frequency_weight_adds_the_distance_to_the_photograph(tmp_path: Path) -> None:
    run = write_teacher(tmp_path / "run")
    lr, hr = batch()
    without, with_it = (
        objective_of(config_of(run, frequency_weight=weight)) for weight in (0.0, 2.0)
    )
    student = student_of(without)
    difference = with_it.loss(student, lr, hr, 7) - without.loss(student, lr, hr, 7)
    part = with_it.report()["loss_parts"]["frequency"]
    assert part > 0
    assert difference.item() == pytest.approx(2 * part, rel=1e-2)


def test_a_student_starts_as_its_teacher(tmp_path: Path) -> None:
    objective = objective_of(config_of(write_teacher(tmp_path / "run", prediction="x0")))
    student, teacher = objective.build(), objective.teacher.module
    assert isinstance(student, Denoiser)
    assert student.prediction == "x0"
    assert student is not teacher
    mine, its = student.state_dict(), teacher.state_dict()
    assert all(torch.equal(mine[key], its[key]) for key in its)


def test_noise_depends_on_step_seed_and_process(tmp_path: Path) -> None:
    teacher = write_teacher(tmp_path / "run")
    lr, hr = torch.full((1, 3, 8, 8), 90.0), torch.full((1, 3, 16, 16), 90.0)

    def loss(rank: int = 0, step: int = 0, seed: int = 0) -> float:
        objective = objective_of(config_of(teacher, seed=seed), rank)
        return objective.loss(objective.build(), lr, hr, step).item()

    found = [loss(), loss(rank=1), loss(step=1), loss(seed=1)]
    assert loss() == found[0]
    assert len(set(found)) == len(found)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, images: DecodedImages) -> None:
    config = config_of(write_teacher(tmp_path / "run"))

    go(tmp_path / "whole", config, images)
    assert go(tmp_path / "parts", config, images, stop_at(3)).interrupted
    go(tmp_path / "parts", config, images)
    whole, parts = (
        read_weights(tmp_path / name / "last.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_training_brings_one_step_nearer_to_the_teacher(
    tmp_path: Path, images: DecodedImages
) -> None:
    config = config_of(
        write_teacher(tmp_path / "run"),
        steps=60,
        ema_decay=0.0,
        learning_rate=3e-4,
        val_every=60,
        save_every=60,
        inverse_weight=0.0,
        truth_weight=0.0,
    )
    go(tmp_path / "student", config, images)
    lr = images.lr[0]
    with_all = load_upscaler(tmp_path / "run")(lr).astype(float)
    with_one = load_upscaler(tmp_path / "run", sampling=Sampling(steps=1))(lr).astype(float)
    distilled = load_upscaler(tmp_path / "student")(lr).astype(float)
    before, after = (np.square(one - with_all).mean() for one in (with_one, distilled))
    assert after < 0.7 * before


def test_a_student_is_asked_once_at_the_last_timestep(
    tmp_path: Path, images: DecodedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path / "student", config_of(write_teacher(tmp_path / "run"), steps=2), images)
    asked: list[list[int]] = []
    forward = Denoiser.forward

    def counted(self: Denoiser, x: Tensor, timestep: Tensor, *others: Tensor) -> Tensor:
        asked.append(timestep.tolist())
        return forward(self, x, timestep, *others)

    upscaler = load_upscaler(tmp_path / "student")
    monkeypatch.setattr(Denoiser, "forward", counted)
    assert upscaler(images.lr[0]).shape == images.hr[0].shape
    assert asked == [[4]]
    loaded = load_denoiser(tmp_path / "student")
    assert loaded.schedule == Schedule(
        name="resshift", parameters=PARAMETERS, sampling_steps=1, is_distilled=True
    )
    assert loaded.metadata["distilled_by"] == "sinsr"


def test_a_student_refuses_more_steps(tmp_path: Path) -> None:
    student = write_teacher(tmp_path / "student", sampling_steps=1, distilled_by="sinsr")
    load_upscaler(student, sampling=Sampling(steps=1))
    with pytest.raises(DiffusionError, match="4 steps, but the network is distilled and knows 1"):
        load_upscaler(student, sampling=Sampling(steps=4))


@pytest.mark.parametrize("steps", ["0", "-1", "one", ""])
def test_a_file_with_a_bad_number_of_steps_is_refused(tmp_path: Path, steps: str) -> None:
    state, metadata = read_weights(write_teacher(tmp_path) / "best.safetensors")
    path = tmp_path / "bad.safetensors"
    metadata = {**metadata, "sampling_steps": steps}
    save_weights(path, state, model=NAME, scale=SCALE, metadata=metadata)
    with pytest.raises(CheckpointError, match="want a whole number from 1"):
        load_denoiser(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start_from": None}, "there is no teacher; name a trained denoiser with --from RUN"),
        ({"model": "ncnet", "scale": 3}, "ncnet enlarges in one pass already"),
        ({"dream": True}, "dream = true: is for the training of the teacher"),
        ({"diffusion_path": "cosine"}, "this path ends in noise alone"),
        ({"distill_weight": 0, "inverse_weight": 0, "truth_weight": 0}, "are all 0"),
    ],
)
def test_settings_that_contradict_distillation_are_named(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_distill(config_of(Path("runs/x"), **changes))


def test_a_negative_weight_is_named() -> None:
    with pytest.raises(ConfigError, match=r"inverse_weight = -1\.0: want at least 0"):
        config_of(None, inverse_weight=-1.0)


def test_distillation_and_integers_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="does not go with qat = true"):
        check_qat(config_of(Path("runs/x"), qat=True))


def test_a_start_without_its_kind_of_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="a denoiser takes it with --qat, or --distill sinsr"):
        load_warm_start(config_of(Path("runs/x"), distill="none"))


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"prediction": "eps"}, "predicts eps"),
        ({"prediction": "v"}, "predicts v"),
        ({"kappa": 0.75}, "'kappa': 0.75.* was asked for; set diffusion_path"),
        ({"schedule": "rddm", "num_steps": 4}, "was trained on rddm"),
        ({"sampling_steps": 1, "distilled_by": "sinsr"}, "is distilled already"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    tmp_path: Path, teacher: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_teacher(config_of(write_teacher(tmp_path / "run", **teacher)))


def test_a_teacher_of_another_kind_or_scale_is_refused(tmp_path: Path) -> None:
    teacher = write_teacher(tmp_path / "run")
    with pytest.raises(CheckpointError, match="scale"):
        load_teacher(config_of(teacher, scale=4))
    with pytest.raises(CheckpointError, match="model"):
        load_teacher(config_of(teacher, model="resshift_px_m"))
    with pytest.raises(CheckpointError, match="none"):
        load_teacher(config_of(tmp_path / "none"))
    plain = tmp_path / "plain.safetensors"
    save_weights(plain, build_model("ncnet", 3).state_dict(), model="ncnet", scale=3)
    with pytest.raises(CheckpointError, match="ncnet"):
        load_teacher(config_of(plain))


def test_a_run_goes_on_with_its_own_teacher_alone(
    tmp_path: Path, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    data = tmp_path / "photos"
    data.mkdir()
    for seed in range(3):
        Image.fromarray(photo(32, 48, seed)).save(data / f"{seed}.png")
    teacher = write_teacher(tmp_path / "run")
    config = config_of(
        teacher, steps=2, data=data, val_images=1, runs=tmp_path / "runs", name="student"
    )
    done = go_run(open_run(config))
    assert open_run(config, resume=done.folder).teacher is not None
    state, metadata = read_weights(teacher / "best.safetensors")
    changed = {key: value + 0.01 for key, value in state.items()}
    save_weights(teacher / "best.safetensors", changed, model=NAME, scale=SCALE, metadata=metadata)
    with pytest.raises(ConfigError, match="put the first file back"):
        open_run(config, resume=done.folder)
