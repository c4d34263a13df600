import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from edgesr.diffusion.first_order import ddim
from edgesr.diffusion.mrs import mrs
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path, respace
from edgesr.diffusion.prediction import Prediction
from edgesr.diffusion.sa_solver import sa_solver
from edgesr.diffusion.samplers import SAMPLERS, find_sampler
from edgesr.diffusion.schedules import SCHEDULES, cosine, irsde, rddm, resshift
from edgesr.diffusion.task import Step, Task, start_of
from edgesr.errors import DiffusionError

NOISE = Noise(seed=11)


class Convolution(nn.Module):
    """A small network, so that its predictions depend on pixels around."""

    prediction: Prediction = "x0"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        mixed: Tensor = self.body(torch.cat([condition, x], dim=1))
        return mixed + 1e-3 * timestep.reshape(-1, 1, 1, 1)


@dataclass(frozen=True)
class Breaks:
    """Predicts the condition, and something else at one timestep."""

    at: int
    instead: Callable[[Tensor], Tensor]
    prediction: Prediction = "x0"
    told: list[int] = field(default_factory=list)

    def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor, /) -> Tensor:
        assert timestep.dtype == torch.int64
        self.told.append(int(timestep[0]))
        assert x.shape[0] == timestep.shape[0]
        return self.instead(condition) if int(timestep[0]) == self.at else condition


def image(shape: tuple[int, ...] = (1, 3, 12, 10)) -> Tensor:
    return torch.linspace(-1, 1, math.prod(shape)).reshape(shape)


def fits(sampler: str, path: Path) -> bool:
    return not sampler.startswith("mrs") or path.name == "irsde"


def few(name: str) -> Path:
    full = SCHEDULES[name]()
    return respace(full, [full.num_steps // 3, full.num_steps // 2, full.num_steps])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_bits(sampler: str, schedule: str) -> None:
    path, y = few(schedule), image()
    if not fits(sampler, path):
        pytest.skip("refused, as another test checks")
    task = Task(denoiser=Convolution(), path=path, condition=y, centre=y if path.centred else None)
    first, again, other = (
        find_sampler(sampler)(task, start_of(task, y, noise), noise)
        for noise in (NOISE, NOISE, Noise(seed=12))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first.requires_grad
    assert first.shape == y.shape


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_denoiser_that_knows_the_image_is_led_to_it(sampler: str, schedule: str) -> None:
    path, hr, y = few(schedule), image(), image().flip(3)
    if not fits(sampler, path):
        pytest.skip("refused, as another test checks")
    knows = Breaks(at=-1, instead=torch.zeros_like)
    task = Task(denoiser=knows, path=path, condition=hr, centre=y if path.centred else None)
    sr = find_sampler(sampler)(task, start_of(task, y, NOISE), NOISE)
    assert torch.allclose(sr, hr, rtol=0, atol=2e-6)
    assert knows.told == [int(timestep) for timestep in path.timesteps[:0:-1]]  # one each


def test_a_tile_with_its_window_of_the_noise_is_the_frame_there() -> None:
    """A network that sees one pixel only, so that no halo is needed."""
    path, frame = few("resshift"), image((1, 3, 80, 90))

    class Pointwise:
        prediction: Prediction = "x0"

        def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor, /) -> Tensor:
            return torch.tanh(condition + 0.3 * x + 0.01 * timestep.reshape(-1, 1, 1, 1))

    def sample(part: Tensor, noise: Noise) -> Tensor:
        task = Task(denoiser=Pointwise(), path=path, condition=part, centre=part)
        return find_sampler("ancestral")(task, start_of(task, part, noise), noise)

    whole = sample(frame, NOISE)
    tile = sample(frame[:, :, 30:70, 50:90].contiguous(), NOISE.window(top=30, left=50))
    assert torch.allclose(tile, whole[:, :, 30:70, 50:90], rtol=0, atol=1e-6)


def test_without_noise_the_start_is_the_centre() -> None:
    y = image()
    task = Task(denoiser=Convolution(), path=resshift(), condition=y, centre=y)
    assert torch.equal(start_of(task, y, None), y)


def test_the_denoiser_is_told_original_numbers_and_the_callback_sees_every_step() -> None:
    y, steps = image(), list[Step]()
    denoiser = Breaks(at=-1, instead=torch.zeros_like)
    task = Task(
        denoiser=denoiser,
        path=respace(resshift(), [4, 9, 15]),
        condition=y,
        centre=y,
        on_step=steps.append,
    )
    sr = ddim(task, start_of(task, y, NOISE))
    assert denoiser.told == [15, 9, 4]
    assert [(step.number, step.total, step.timestep) for step in steps] == [
        (1, 3, 15),
        (2, 3, 9),
        (3, 3, 4),
    ]
    assert torch.equal(steps[-1].x, sr)
    assert torch.allclose(steps[0].x0, y, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm_solver_2m", "sa_solver", "mrs_ode"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_stop_sampling_and_say_where(sampler: str, value: float) -> None:
    def poison(condition: Tensor) -> Tensor:
        poisoned = condition.clone()
        poisoned[0, 1, 2, 3] = value
        return poisoned

    y = image()
    path = respace(irsde(), [20, 50, 100])
    task = Task(denoiser=Breaks(at=50, instead=poison), path=path, condition=y, centre=y)
    where = r"step 2 of 3 \(timestep 50\): the prediction has 1 of 360 values .* not finite"
    with pytest.raises(DiffusionError, match=where):
        find_sampler(sampler)(task, start_of(task, y, NOISE), NOISE)


def test_a_step_out_of_the_finite_numbers_stops_sampling() -> None:
    y = image()
    path = respace(irsde(), [20, 50, 100])
    huge = Breaks(at=100, instead=lambda c: torch.full_like(c, 3e38), prediction="eps")
    task = Task(denoiser=huge, path=path, condition=y, centre=y, clip=False)
    with pytest.raises(DiffusionError, match=r"step 1 of 3 \(timestep 100\): the image"):
        ddim(task, start_of(task, y, NOISE))


def test_a_prediction_of_another_scale_is_refused() -> None:
    y = image()
    half = Breaks(at=15, instead=lambda c: c[:, :, ::2, ::2])
    task = Task(denoiser=half, path=resshift(), condition=y, centre=y)
    with pytest.raises(DiffusionError, match=r"returned shape \(1, 3, 6, 5\), want .* scale"):
        ddim(task, y)


def test_a_start_that_does_not_fit_is_refused() -> None:
    y = image()
    task = Task(denoiser=Convolution(), path=resshift(), condition=y, centre=y)
    with pytest.raises(DiffusionError, match="centre has shape"):
        ddim(task, image((1, 3, 6, 5)))
    with pytest.raises(DiffusionError, match="the start has 1 of 360"):
        ddim(
            task,
            y.index_fill(3, torch.tensor([0]), 0.0).index_put(
                (torch.tensor(0),) * 4, torch.tensor(math.nan)
            ),
        )
    with pytest.raises(DiffusionError, match="no centre"):
        ddim(replace(task, centre=None), y)
    uncentred = Task(denoiser=Convolution(), path=cosine(), condition=y)
    with pytest.raises(DiffusionError, match=r"start is torch\.uint8"):
        ddim(uncentred, torch.zeros((1, 3, 8, 8), dtype=torch.uint8))


@pytest.mark.parametrize("schedule", ["ddpm_linear", "cosine", "resshift", "rddm"])
def test_mrs_refuses_a_path_that_does_not_revert_to_an_image(schedule: str) -> None:
    path, y = few(schedule), image()
    task = Task(denoiser=Convolution(), path=path, condition=y, centre=y if path.centred else None)
    with pytest.raises(DiffusionError, match=f"mrs: path {schedule} does not revert"):
        mrs(task, y)


def test_eps_on_a_path_without_signal_is_refused_while_sampling() -> None:
    y = image()
    eps = Breaks(at=-1, instead=torch.zeros_like, prediction="eps")
    task = Task(denoiser=eps, path=rddm(num_steps=5), condition=y, centre=y)
    with pytest.raises(DiffusionError, match="without signal"):
        ddim(task, y)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (lambda task, y: ddim(task, y, eta=1.5), "eta is 1.5, want 0 to 1"),
        (lambda task, y: ddim(task, y, eta=math.nan), "eta is nan"),
        (lambda task, y: ddim(task, y, eta=0.5), "ddim with eta above 0: .*want noise=Noise"),
        (sa_solver, "sa_solver with tau above 0: .*want noise=Noise"),
        (lambda task, y: sa_solver(task, y, tau=-1.0), "tau is -1.0"),
        (lambda task, y: sa_solver(task, y, order=4), "order is 4, want 1, 2 or 3"),
        (lambda task, y: mrs(task, y, order=3), "order is 3, want 1 or 2"),
        (
            lambda task, y: mrs(task, y, equation="pde"),  # type: ignore[arg-type]
            "'pde', want ode or sde",
        ),
        (lambda task, y: mrs(task, y, equation="sde"), "want noise=Noise"),
    ],
)
def test_a_setting_out_of_range_is_refused(
    sample: Callable[[Task, Tensor], Tensor], message: str
) -> None:
    y = image()
    task = Task(denoiser=Convolution(), path=few("irsde"), condition=y, centre=y)
    with pytest.raises(DiffusionError, match=message):
        sample(task, y)


def test_an_unknown_sampler_lists_the_known_ones() -> None:
    with pytest.raises(DiffusionError, match="'euler' is not known, want one of ancestral, ddim"):
        find_sampler("euler")
