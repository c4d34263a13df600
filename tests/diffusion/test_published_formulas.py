"""Tables and coefficients against the formulas as the methods' public code writes them, anew.

Every state, in float64 and from the methods' own parameters; never from a path's tables.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.adams import adams_weights
from edgesr.diffusion.dpm_solver import dpm_solver_2m
from edgesr.diffusion.first_order import transition
from edgesr.diffusion.path import respace
from edgesr.diffusion.schedules import cosine, ddpm_linear, irsde, rddm, resshift
from edgesr.diffusion.task import Task

Near = 1e-12


@pytest.mark.parametrize("kappa", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("count", "power", "least"), [(15, 0.3, 0.04), (4, 0.3, 0.2), (9, 1, 0.1)])
def test_resshift_and_its_posterior_at_every_state(
    kappa: float, count: int, power: float, least: float
) -> None:
    path = resshift(num_steps=count, kappa=kappa, power=power, min_noise=least)
    first = min(least / kappa, least)
    growth = math.exp(math.log(0.99 / first) / (count - 1))
    roots = growth ** (np.linspace(0, 1, count) ** power * (count - 1)) * first
    eta = roots**2
    before = np.append(0.0, eta[:-1])
    assert path.signal[1:] == pytest.approx(1 - eta, abs=Near)
    assert path.noise[1:] == pytest.approx(kappa * roots, abs=Near)
    for t in range(1, count + 1):
        step = transition(path, t, t - 1, eta=1.0)
        now, earlier = eta[t - 1], before[t - 1]
        # on the image: keep x + (now - earlier) / now x0, and nothing of the centre
        assert step.keep == pytest.approx(earlier / now, abs=Near)
        assert step.add == pytest.approx((now - earlier) / now, abs=Near)
        assert step.spread**2 == pytest.approx(kappa**2 * earlier / now * (now - earlier), abs=Near)
        straight = transition(path, t, t - 1, eta=0.0)  # SinSR's k, m and j
        m = math.sqrt(earlier / now)
        k = 1 - earlier + math.sqrt(earlier * now) - m
        j = earlier - math.sqrt(earlier * now)
        assert straight.keep == pytest.approx(m, abs=Near)
        assert straight.add == pytest.approx(k, abs=Near)
        assert 1 - straight.keep - straight.add == pytest.approx(j, abs=Near)


@pytest.mark.parametrize("count", [20, 100])
def test_irsde_and_its_posterior_at_every_state(count: int) -> None:
    sigma, remains = 30 / 255, 0.005
    steps = np.arange(count + 3) / (count + 2)
    bar = np.cos((steps + 0.008) / 1.008 * math.pi / 2) ** 2
    theta = 1 - (bar / bar[0])[1:-1]
    total = np.cumsum(theta) - theta[0]
    dt = -math.log(remains) / total[-1]
    path = irsde(num_steps=count, sigma=sigma, remains=remains)
    assert path.signal == pytest.approx(np.exp(-total * dt), abs=Near)
    for t in range(2, count + 1):
        a, b, c = (math.exp(-value * dt) for value in (theta[t], total[t], total[t - 1]))
        step = transition(path, t, t - 1, eta=1.0)
        assert step.keep == pytest.approx(a * (1 - c**2) / (1 - b**2), abs=Near)
        assert step.add == pytest.approx(c * (1 - a**2) / (1 - b**2), abs=Near)
        variance = (1 - a**2) * (1 - c**2) / (1 - b**2) * sigma**2
        assert step.spread**2 == pytest.approx(variance, abs=Near)


@pytest.mark.parametrize("count", [5, 1000])
def test_rddm_and_its_posterior_at_every_state(count: int) -> None:
    rising = np.arange(1, count + 1) / (count * (count + 1) / 2)
    alpha, beta2 = rising[::-1], 0.01 * rising
    gone, spent = np.cumsum(alpha), np.cumsum(beta2)
    path = rddm(num_steps=count)
    assert path.signal[1:] == pytest.approx(1 - gone, abs=Near)
    assert path.noise[1:] ** 2 == pytest.approx(spent, abs=Near)
    for t in range(2, count + 1):
        now = t - 1
        step = transition(path, t, t - 1, eta=1.0)
        assert step.keep == pytest.approx(spent[now - 1] / spent[now], abs=Near)
        # their residual is centre - x0, and they add x0 itself
        left = (beta2[now] * gone[now - 1] - spent[now - 1] * alpha[now]) / spent[now]
        assert step.add == pytest.approx(beta2[now] / spent[now] - left, abs=Near)
        assert step.spread**2 == pytest.approx(beta2[now] * spent[now - 1] / spent[now], abs=Near)


def test_the_cosine_schedule_from_its_limited_betas() -> None:
    def alpha_bar(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - alpha_bar((i + 1) / 1000) / alpha_bar(i / 1000), 0.999) for i in range(1000)]
    kept = np.cumprod(1 - np.array(betas))
    path = cosine()
    assert path.signal[1:] == pytest.approx(np.sqrt(kept), abs=Near)
    assert path.noise[1:] == pytest.approx(np.sqrt(1 - kept), abs=Near)


def test_2m_is_the_multistep_update_of_its_authors(
    gaussian: Callable[..., Callable[..., Tensor]],
) -> None:
    kept = [150, 600, 1100, 2000]
    path = respace(ddpm_linear(), kept)
    bar = np.cumprod(1 - np.linspace(1e-6, 1e-2, 2000))
    alpha, sigma = ([0.0, *np.sqrt(x[np.array(kept) - 1])] for x in (bar, 1 - bar))
    denoiser = gaussian(path=path, mean=0.2, prediction="x0")
    like = torch.zeros((1, 1, 1, 1), dtype=torch.float64)
    seen: list[Tensor] = []
    task = Task(
        denoiser=denoiser,  # type: ignore[arg-type]
        path=path,
        condition=like,
        clip=False,
        on_step=lambda step: seen.append(step.x),
    )
    x = like + 1.1
    dpm_solver_2m(task, x)
    snr = [math.log(a / s) if a else math.inf for a, s in zip(alpha, sigma, strict=True)]
    earlier: Tensor | None = None
    for number, (s, t) in enumerate([(4, 3), (3, 2), (2, 1)]):
        model = denoiser(x, torch.tensor([kept[s - 1]]), like)
        h = snr[t] - snr[s]
        phi = math.expm1(-h)
        made = sigma[t] / sigma[s] * x - alpha[t] * phi * model
        if earlier is not None:
            slope = (model - earlier) * h / (snr[s] - snr[s + 1])
            made = made - 0.5 * alpha[t] * phi * slope
        x, earlier = made, model
        assert (seen[number] - x).abs().max() <= Near


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("places", [(1.1,), (1.1, 0.2), (1.1, 0.2, -0.9), (2.0, 1.1, 0.2, -0.9)])
def test_adams_weights_are_lagrange_times_exponential_integrals(
    places: Sequence[float], tau: float
) -> None:
    """As SA-Solver's code: coefficients of basis polynomials times integrals of powers."""
    begin, end, k = 1.1, 2.0, 1 + tau**2

    def integral(power: int) -> float:  # of k exp(k (l - end)) l^power, by parts
        if power == 0:
            return 1 - math.exp(k * (begin - end))
        edge = end**power - math.exp(k * (begin - end)) * begin**power
        return edge - power / k * integral(power - 1)

    wanted = []
    for own in places:
        basis = np.poly1d([1.0])
        for other in places:
            if other != own:
                basis = basis * np.poly1d([1.0, -other]) / (own - other)
        wanted.append(sum(c * integral(p) for p, c in enumerate(basis.coeffs[::-1])))
    nodes = [(place - begin) / (end - begin) for place in places]
    assert adams_weights(nodes, k * (end - begin)) == pytest.approx(wanted, abs=1e-11)
