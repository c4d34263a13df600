import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.first_order import ancestral, ddim, transition
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path, respace, spaced_timesteps
from edgesr.diffusion.schedules import cosine, ddpm_linear, irsde, rddm, resshift
from edgesr.diffusion.task import Task, start_of

Images = Callable[..., Tensor]
Near = 1e-12


def mean_and_spread(  # noqa: PLR0913
    path: Path, t: int, *, x: Tensor, x0: Tensor, centre: Tensor | float, eta: float = 1.0
) -> tuple[Tensor, float]:
    step = transition(path, t, t - 1, eta=eta)
    return centre + step.keep * (x - centre) + step.add * (x0 - centre), step.spread


@pytest.mark.parametrize("t", [1, 2, 700, 1999, 2000])
def test_ddpm_has_the_published_posterior(t: int, images: Images) -> None:
    x, x0 = images(1), images(2)
    beta = np.linspace(1e-6, 1e-2, 2000)
    bar = np.concatenate([[1.0], np.cumprod(1 - beta)])
    b = beta[t - 1]
    want = (
        math.sqrt(bar[t - 1]) * b / (1 - bar[t]) * x0
        + math.sqrt(1 - b) * (1 - bar[t - 1]) / (1 - bar[t]) * x
    )
    mean, spread = mean_and_spread(ddpm_linear(), t, x=x, x0=x0, centre=0.0)
    # 1 - bar loses ten digits at the first states, in the reference and not in ours.
    near = Near if t > 2 else 1e-9
    assert (mean - want).abs().max() <= near
    assert spread**2 == pytest.approx(b * (1 - bar[t - 1]) / (1 - bar[t]), abs=Near)


@pytest.mark.parametrize("t", [1, 2, 7, 15])
def test_resshift_has_the_published_posterior(t: int, images: Images) -> None:
    path, x, x0, y = resshift(), images(1), images(2), images(3)
    root = [0.0] + [0.02 * (0.99 / 0.02) ** ((i / 14) ** 0.3) for i in range(15)]
    now, before = root[t] ** 2, root[t - 1] ** 2
    alpha = now - before
    mean, spread = mean_and_spread(path, t, x=x, x0=x0, centre=y)
    assert (mean - (before / now * x + alpha / now * x0)).abs().max() <= Near
    assert spread**2 == pytest.approx(4 * before / now * alpha, abs=Near)


def test_four_resshift_steps_have_the_published_coefficients() -> None:
    path = resshift(num_steps=4, min_noise=0.2)
    steps = [transition(path, t, t - 1, eta=1.0) for t in (1, 2, 3, 4)]
    keeps = [0, 0.037, 0.4666, 0.5915]
    variances = [0, 0.038521, 0.577119, 0.947297]
    assert [step.keep for step in steps] == pytest.approx(keeps, abs=6e-5)
    assert [step.spread**2 for step in steps] == pytest.approx(variances, abs=1e-6)


@pytest.mark.parametrize("t", [1, 2, 50, 100])
def test_irsde_has_the_published_optimum_and_posterior(t: int, images: Images) -> None:
    path, x, x0, mu = irsde(sigma=30 / 255), images(1), images(2), images(3)
    before, now = float(path.signal[t - 1]), float(path.signal[t])
    a, b, c = now / before, now, before
    optimum = a * (1 - c**2) / (1 - b**2) * (x - mu) + c * (1 - a**2) / (1 - b**2) * (x0 - mu) + mu
    mean, spread = mean_and_spread(path, t, x=x, x0=x0, centre=mu)
    assert (mean - optimum).abs().max() <= Near
    variance = (30 / 255) ** 2 * (1 - a**2) * (1 - c**2) / (1 - b**2)
    assert spread**2 == pytest.approx(variance, abs=Near)


@pytest.mark.parametrize("t", [1, 2, 500, 1000])
def test_rddm_has_the_published_posterior_and_deterministic_step(t: int, images: Images) -> None:
    path, x, x0, y = rddm(), images(1), images(2), images(3)
    left = y - x0  # the paper's residual
    gone, gone_before = 1 - float(path.signal[t]), 1 - float(path.signal[t - 1])
    bar, bar_before = float(path.noise[t]), float(path.noise[t - 1])
    alpha, beta2 = gone - gone_before, bar**2 - bar_before**2
    want = (
        bar_before**2 / bar**2 * x
        + (beta2 * gone_before - bar_before**2 * alpha) / bar**2 * left
        + beta2 / bar**2 * x0
    )
    mean, spread = mean_and_spread(path, t, x=x, x0=x0, centre=y)
    assert (mean - want).abs().max() <= Near
    assert spread**2 == pytest.approx(beta2 * bar_before**2 / bar**2, abs=Near)
    eps = (x - x0 - gone * left) / bar
    straight, _ = mean_and_spread(path, t, x=x, x0=x0, centre=y, eta=0.0)
    assert (straight - (x - alpha * left - (bar - bar_before) * eps)).abs().max() <= Near


@pytest.mark.parametrize("t", [1, 2, 7, 15])
def test_the_deterministic_resshift_step_is_the_one_of_sinsr(t: int, images: Images) -> None:
    path, x, x0, y = resshift(), images(1), images(2), images(3)
    now, before = 1 - float(path.signal[t]), 1 - float(path.signal[t - 1])
    m = math.sqrt(before / now)
    j = before - math.sqrt(before * now)
    k = 1 - before + math.sqrt(before * now) - m
    mean, spread = mean_and_spread(path, t, x=x, x0=x0, centre=y, eta=0.0)
    assert (mean - (k * x0 + m * x + j * y)).abs().max() <= Near
    assert spread == 0


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_is_the_published_formula_also_between_far_states(eta: float, images: Images) -> None:
    path = respace(ddpm_linear(), [100, 900, 2000])
    x, x0 = images(1), images(2)
    bar = np.cumprod(1 - np.linspace(1e-6, 1e-2, 2000))
    now, before = float(bar[1999]), float(bar[899])
    sigma = eta * math.sqrt((1 - before) / (1 - now)) * math.sqrt(1 - now / before)
    eps = (x - math.sqrt(now) * x0) / math.sqrt(1 - now)
    want = math.sqrt(before) * x0 + math.sqrt(1 - before - sigma**2) * eps
    mean, spread = mean_and_spread(path, 3, x=x, x0=x0, centre=0.0, eta=eta)
    assert (mean - want).abs().max() <= Near
    assert spread == pytest.approx(sigma, abs=Near)


def test_a_whole_ancestral_walk_is_the_reference_loop(
    images: Images, gaussian: Callable[..., Callable[..., Tensor]]
) -> None:
    path, noise = resshift(num_steps=4, min_noise=0.2, kappa=0.5), Noise(seed=3)
    y = images(1, (2, 3, 9, 9))
    denoiser = gaussian(path=path, mean=0.1, variance=0.04, prediction="residual")

    class Around:
        prediction = "residual"

        def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
            return denoiser(x - condition, timestep, condition)

    task = Task(denoiser=Around(), path=path, condition=y, centre=y, clip=False)  # type: ignore[arg-type]
    start = start_of(task, y, noise)
    x = y + 0.5 * 0.99 * noise.draw(y, state=4)
    eta = [(float(s) / 0.5) ** 2 for s in path.noise]
    for t in (4, 3, 2, 1):
        gain = (1 - eta[t]) * 0.04 / ((1 - eta[t]) ** 2 * 0.04 + 0.25 * eta[t])
        x0 = y + 0.1 + gain * (x - y - (1 - eta[t]) * 0.1)
        mean = eta[t - 1] / eta[t] * x + (eta[t] - eta[t - 1]) / eta[t] * x0
        variance = 0.25 * eta[t - 1] / eta[t] * (eta[t] - eta[t - 1])
        x = mean + math.sqrt(variance) * noise.draw(y, state=t - 1)
    assert (ancestral(task, start, noise=noise) - x).abs().max() <= Near


@pytest.mark.parametrize("schedule", ["ddpm", "irsde", "resshift", "rddm"])
def test_ancestral_steps_reproduce_the_data(
    schedule: str, gaussian: Callable[..., Callable[..., Tensor]]
) -> None:
    """Mean and variance against the exact recursion and against the data."""
    full = {
        "ddpm": ddpm_linear(),
        "irsde": irsde(num_steps=200),
        "resshift": resshift(num_steps=200, kappa=0.5),
        "rddm": rddm(num_steps=200),
    }[schedule]
    path = respace(full, spaced_timesteps(full, 200))
    centre = torch.full((1, 1, 128, 128), 0.3, dtype=torch.float64) if path.centred else None
    where = 0.3 if path.centred else 0.0
    data_mean, data_variance = 0.2, 0.25
    denoiser = gaussian(
        path=path, mean=data_mean, variance=data_variance, centre=where, prediction="residual"
    )
    like = torch.empty((1, 1, 128, 128), dtype=torch.float64)
    task = Task(denoiser=denoiser, path=path, condition=like, centre=centre, clip=False)  # type: ignore[arg-type]
    noise = Noise(seed=1)
    drawn = ancestral(task, start_of(task, like, noise), noise=noise) - where

    mean, variance = 0.0, float(path.noise[-1]) ** 2
    for t, u in path.steps():
        (a, s), (a_u, s_u) = ((float(path.signal[i]), float(path.noise[i])) for i in (t, u))
        g = a / a_u if path.chain == "decay" else 1.0
        v2 = s_u**2 / s**2 * (s**2 - g**2 * s_u**2)
        keep = g * s_u**2 / s**2
        add = a_u - keep * a
        gain = a * data_variance / (a**2 * data_variance + s**2)
        mean = keep * mean + add * (data_mean + gain * (mean - a * data_mean))
        variance = (keep + add * gain) ** 2 * variance + v2
    count = drawn.numel()
    assert float(drawn.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / count))
    assert float(drawn.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / count))
    assert variance == pytest.approx(data_variance, rel=0.1)
    assert mean == pytest.approx(data_mean, rel=0.03)


def test_eta_1_is_ancestral_and_clipping_bounds_the_image(
    images: Images, gaussian: Callable[..., Callable[..., Tensor]]
) -> None:
    path = respace(cosine(), [200, 500, 900])
    denoiser = gaussian(path=path, variance=4.0, prediction="v")
    like = images(1, (1, 3, 16, 16))
    task = Task(denoiser=denoiser, path=path, condition=like)  # type: ignore[arg-type]
    noise = Noise(seed=9)
    start = start_of(task, like, noise)
    walked = ancestral(task, start, noise=noise)
    assert torch.equal(walked, ddim(task, start, eta=1.0, noise=noise))
    assert float(walked.abs().max()) <= 1
    loose = Task(denoiser=denoiser, path=path, condition=like, clip=False)  # type: ignore[arg-type]
    assert float(ancestral(loose, start, noise=noise).abs().max()) > 1
