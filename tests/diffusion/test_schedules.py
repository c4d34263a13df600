import math
from collections.abc import Callable

import numpy as np
import pytest

from edgesr.diffusion.path import Path
from edgesr.diffusion.schedules import (
    SCHEDULES,
    cosine,
    ddpm_linear,
    find_schedule,
    irsde,
    rddm,
    resshift,
)
from edgesr.errors import DiffusionError

FIFTEEN_ROOTS = (
    0.02, 0.11717, 0.1763, 0.23363, 0.29157, 0.35101, 0.41236, 0.47586,
    0.54167, 0.60991, 0.68066, 0.75399, 0.82995, 0.90861, 0.99,
)  # fmt: skip
FOUR_ROOTS = (0.1, 0.5201, 0.76138, 0.99)


def roots(path: Path) -> list[float]:
    return [float(value) for value in np.sqrt(1 - path.signal[1:])]


def test_fifteen_resshift_steps_are_the_published_table() -> None:
    assert roots(resshift()) == pytest.approx(FIFTEEN_ROOTS, abs=6e-6)


def test_four_resshift_steps_are_the_published_table() -> None:
    assert roots(resshift(num_steps=4, min_noise=0.2)) == pytest.approx(FOUR_ROOTS, abs=6e-6)


def test_resshift_noise_is_kappa_times_the_root_of_the_shift() -> None:
    path = resshift(kappa=0.5, min_noise=0.04)
    assert path.noise[1] == pytest.approx(0.02)
    assert path.noise == pytest.approx(0.5 * np.sqrt(1 - path.signal), abs=1e-15)


@pytest.mark.parametrize(
    ("state", "signal", "noise"),
    [
        (1, 0.999824, 0.00221),
        (10, 0.985365, 0.020054),
        (50, 0.360822, 0.109722),
        (100, 0.005, 0.117646),
    ],
)
def test_irsde_has_the_values_of_the_reference(state: int, signal: float, noise: float) -> None:
    path = irsde(sigma=30 / 255)
    assert path.signal[state] == pytest.approx(signal, abs=6e-7)
    assert path.noise[state] == pytest.approx(noise, abs=6e-7)


def test_irsde_is_the_reference_formula() -> None:
    steps, sigma, remains = 100, 30 / 255, 0.005
    f = [math.cos((i / (steps + 2) + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(steps + 3)]
    theta = [1 - value / f[0] for value in f[1:-1]]
    bar = [sum(theta[1 : t + 1]) for t in range(steps + 1)]
    dt = -math.log(remains) / bar[-1]
    assert theta[1] == pytest.approx(0.001695, abs=6e-7)
    assert theta[50] == pytest.approx(0.506156, abs=6e-7)
    assert theta[100] == pytest.approx(0.999767, abs=6e-7)
    assert dt == pytest.approx(0.104094, abs=6e-7)
    path = irsde(num_steps=steps, sigma=sigma, remains=remains)
    assert path.signal == pytest.approx([math.exp(-b * dt) for b in bar], abs=1e-12)
    variance = [sigma**2 * (1 - math.exp(-2 * b * dt)) for b in bar]
    assert path.noise**2 == pytest.approx(variance, abs=1e-12)


def test_ddpm_is_the_product_of_what_each_step_keeps() -> None:
    path = ddpm_linear()
    kept = np.cumprod(1 - np.linspace(1e-6, 1e-2, 2000))
    assert path.num_steps == 2000
    assert path.signal[1:] == pytest.approx(np.sqrt(kept), abs=1e-12)
    assert path.noise[1:] == pytest.approx(np.sqrt(1 - kept), abs=1e-12)


def test_cosine_is_the_published_curve_with_its_limit() -> None:
    def f(t: int) -> float:
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    path = cosine()
    middle = [math.sqrt(f(t) / f(0)) for t in range(1, 900)]
    assert path.signal[1:900] == pytest.approx(middle, abs=1e-12)
    last_beta = 1 - (path.signal[-1] / path.signal[-2]) ** 2
    assert last_beta == pytest.approx(0.999, abs=1e-9)


def test_rddm_ends_without_signal_and_with_the_stated_noise() -> None:
    path = rddm(num_steps=10, variance=0.04)
    assert path.signal[-1] == 0
    assert path.noise[-1] == pytest.approx(0.2)
    # alpha falls and beta^2 rises linearly: 10, 9, ... 1 of 55 and 1, 2, ... 10 of 55.
    assert 1 - path.signal[2] == pytest.approx(19 / 55)
    assert path.noise[2] ** 2 == pytest.approx(0.04 * 3 / 55)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_works_without_arguments(name: str) -> None:
    path = find_schedule(name)()
    assert path.name == name
    assert path.signal.dtype == path.noise.dtype == np.float64
    assert list(path.timesteps) == list(range(path.num_steps + 1))


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: ddpm_linear(num_steps=0), "num_steps"),
        (lambda: ddpm_linear(last=1.0), "last"),
        (lambda: ddpm_linear(first=math.nan), "first"),
        (lambda: cosine(max_beta=1.0), "max_beta"),
        (lambda: resshift(num_steps=1), "num_steps"),
        (lambda: resshift(kappa=0.0), "kappa"),
        (lambda: resshift(kappa=math.inf), "kappa"),
        (lambda: resshift(min_noise=3.0), "last"),
        (lambda: resshift(power=-1.0), "power"),
        (lambda: irsde(remains=1.0), "remains"),
        (lambda: irsde(sigma=-1.0), "sigma"),
        (lambda: rddm(variance=0.0), "variance"),
    ],
)
def test_a_parameter_out_of_range_is_named(make: Callable[[], Path], parameter: str) -> None:
    with pytest.raises(DiffusionError, match=parameter):
        make()


def test_an_unknown_schedule_lists_the_known_ones() -> None:
    with pytest.raises(DiffusionError, match="'flow' is not known, want one of ddpm_linear"):
        find_schedule("flow")
