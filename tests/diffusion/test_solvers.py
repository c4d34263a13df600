import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.adams import adams_weights
from edgesr.diffusion.dpm_solver import dpm_solver_2m
from edgesr.diffusion.first_order import ddim
from edgesr.diffusion.mrs import mrs
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path, respace
from edgesr.diffusion.sa_solver import sa_solver
from edgesr.diffusion.schedules import ddpm_linear, irsde, rddm, resshift
from edgesr.diffusion.task import Task, start_of

Gaussian = Callable[..., Callable[..., Tensor]]
GOLDEN = [
    (5, 0.266498, 0.275817),
    (10, 0.373279, 0.410331),
    (20, 0.433426, 0.483475),
    (50, 0.472393, 0.503452),
]


def pixel(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["x0", "residual", "eps", "v"])
@pytest.mark.parametrize(("num_steps", "first", "second"), GOLDEN)
def test_ddim_and_2m_have_the_golden_values(
    num_steps: int, first: float, second: float, kind: str, gaussian: Gaussian
) -> None:
    """Evenly from state 2000 to state 1, where they end, as in the reference, and not at 0."""
    full = ddpm_linear()
    states = np.rint(np.linspace(0, 1999, num_steps + 1)).astype(int) + 1
    path = replace(
        full,
        signal=full.signal[states],
        noise=full.noise[states],
        timesteps=full.timesteps[states],
    )
    denoiser = gaussian(path=path, variance=0.25, prediction=kind)
    task = Task(denoiser=denoiser, path=path, condition=pixel(0.0), clip=False)  # type: ignore[arg-type]
    assert float(ddim(task, pixel(1.0))) == pytest.approx(first, abs=6e-7)
    assert float(dpm_solver_2m(task, pixel(1.0))) == pytest.approx(second, abs=6e-7)


def test_the_golden_values_tend_to_the_exact_flow(gaussian: Gaussian) -> None:
    bar = np.cumprod(1 - np.linspace(1e-6, 1e-2, 2000))
    spread = [math.sqrt(0.25 * b + 1 - b) for b in bar]
    exact = spread[0] / spread[-1]
    assert exact == pytest.approx(0.500009, abs=6e-7)
    full = ddpm_linear()
    kept = slice(1, None)
    path = replace(
        full, signal=full.signal[kept], noise=full.noise[kept], timesteps=full.timesteps[kept]
    )
    denoiser = gaussian(path=path, variance=0.25)
    task = Task(denoiser=denoiser, path=path, condition=pixel(0.0), clip=False)  # type: ignore[arg-type]
    assert float(dpm_solver_2m(task, pixel(1.0))) == pytest.approx(exact, abs=3e-5)


def even_path(num_steps: int, *, centred: bool = False) -> Path:
    """States evenly spaced in ln(a / s), variance preserving, almost clean at state 1."""
    snr = np.linspace(10, -4, num_steps)
    kept = 1 / (1 + np.exp(-2 * snr))
    return Path(
        name="even",
        signal=np.concatenate([[1.0], np.sqrt(kept)]),
        noise=np.concatenate([[0.0], np.sqrt(1 - kept)]),
        timesteps=np.arange(num_steps + 1),
        chain="decay",
        centred=centred,
    )


def solver_error(
    solve: Callable[[Task, Tensor], Tensor], num_steps: int, gaussian: Gaussian
) -> float:
    path, mean, variance = even_path(num_steps), 0.3, 0.25
    denoiser = gaussian(path=path, mean=mean, variance=variance, prediction="eps")
    task = Task(denoiser=denoiser, path=path, condition=pixel(0.0), clip=False)  # type: ignore[arg-type]
    a, s = float(path.signal[-1]), float(path.noise[-1])
    z = 1.3
    start = pixel(a * mean + z * math.sqrt(a**2 * variance + s**2))
    return abs(float(solve(task, start)) - (mean + z * math.sqrt(variance)))


@pytest.mark.parametrize(
    ("solve", "low", "high"),
    [
        (ddim, 0.9, 1.1),
        (dpm_solver_2m, 1.8, 2.2),
        (lambda task, start: sa_solver(task, start, tau=0.0, order=1), 1.8, 2.5),
        (lambda task, start: sa_solver(task, start, tau=0.0, order=2), 2.7, 3.6),
        (lambda task, start: sa_solver(task, start, tau=0.0, order=3), 3.5, 4.8),
    ],
    ids=["ddim", "2m", "sa1", "sa2", "sa3"],
)
def test_the_error_falls_with_the_order_of_the_solver(
    solve: Callable[[Task, Tensor], Tensor], low: float, high: float, gaussian: Gaussian
) -> None:
    coarse, fine = (solver_error(solve, n, gaussian) for n in (100, 200))
    assert low <= math.log2(coarse / fine) <= high


@pytest.mark.parametrize("order", [1, 2])
def test_mrs_converges_with_its_order(order: int, gaussian: Gaussian) -> None:
    errors = []
    for num_steps in (60, 120):
        path = even_path(num_steps, centred=True)
        denoiser = gaussian(path=path, mean=0.3, centre=0.4, prediction="x0")
        task = Task(
            denoiser=denoiser,  # type: ignore[arg-type]
            path=path,
            condition=pixel(0.4),
            centre=pixel(0.4),
            clip=False,
        )
        a, s = float(path.signal[-1]), float(path.noise[-1])
        start = pixel(0.4 + a * 0.3 + 1.3 * math.sqrt(a**2 * 0.25 + s**2))
        errors.append(abs(float(mrs(task, start, order=order)) - (0.4 + 0.3 + 1.3 * 0.5)))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("k", [1e-4, 0.3, 0.999, 1.001, 5.0, 40.0])
@pytest.mark.parametrize("nodes", [[0.0], [-0.8, 0.0], [-0.8, 0.0, 1.0], [-2.1, -0.8, 0.0, 1.0]])
def test_adams_weights_integrate_the_interpolating_polynomial(nodes: list[float], k: float) -> None:
    places, quadrature = np.polynomial.legendre.leggauss(60)
    z, w = (places + 1) / 2, quadrature / 2
    for own, weight in zip(nodes, adams_weights(nodes, k), strict=True):
        others = [node for node in nodes if node != own]
        basis = np.prod([(z - node) / (own - node) for node in others], axis=0)
        want = float(np.sum(w * k * np.exp(-k * (1 - z)) * basis))
        assert weight == pytest.approx(want, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("equation", ["ode", "sde"])
def test_mrs_has_the_coefficients_of_its_authors(equation: str, gaussian: Gaussian) -> None:
    """Their data prediction at orders 1 and 2, written out with the image and not the residual."""
    full, mu, noise = irsde(sigma=0.2), pixel(0.4), Noise(seed=2)
    path = respace(full, [5, 30, 60, 100])
    denoiser = gaussian(path=path, mean=0.1, variance=0.02, centre=0.4, prediction="x0")
    seen: list[Tensor] = []
    task = Task(
        denoiser=denoiser,  # type: ignore[arg-type]
        path=path,
        condition=mu,
        centre=mu,
        clip=False,
        on_step=lambda step: seen.append(step.x),
    )
    x = start_of(task, mu, noise)
    ended = mrs(task, x, equation=equation, noise=noise)  # type: ignore[arg-type]
    a, s = [float(v) for v in path.signal], [float(v) for v in path.noise]
    before: tuple[Tensor, float] | None = None
    for number, (t, u) in enumerate([(4, 3), (3, 2), (2, 1)]):
        q = denoiser(x, torch.tensor([path.timesteps[t]]), mu)
        h = math.log(a[u] / s[u]) - math.log(a[t] / s[t])
        slope = torch.zeros_like(q) if before is None else (q - before[0]) / (before[1] / h)
        if equation == "ode":
            phi1 = math.expm1(-h)
            phi2 = phi1 / h + 1
            back = s[u] / s[t]
            x = back * x - a[u] * (phi1 * q - phi2 * slope)
            x = x + mu * (1 - back + back * a[t] - a[u])
        else:
            phi1 = 1 - math.exp(-2 * h)
            phi2 = 1 - phi1 / 2 / h
            x = s[u] / s[t] * math.exp(-h) * x + a[u] * phi1 * q + a[u] * phi2 * slope
            x = x + s[u] * math.sqrt(phi1) * noise.draw(x, state=u)
            x = x + mu * (1 - a[u] / a[t] * math.exp(-2 * h) - a[u] * phi1)
        before = (q, h)
        assert (seen[number] - x).abs().max() <= 1e-12
    last = denoiser(x, torch.tensor([5]), mu)
    assert (ended - last).abs().max() <= 1e-12


def test_sa_solver_of_order_1_with_tau_is_the_written_out_predictor_and_corrector(
    gaussian: Gaussian,
) -> None:
    full, noise, tau = ddpm_linear(), Noise(seed=4), 0.7
    path = respace(full, [300, 2000])
    denoiser = gaussian(path=path, prediction="x0")
    like = torch.zeros((1, 1, 4, 4), dtype=torch.float64)
    seen: list[Tensor] = []
    task = Task(
        denoiser=denoiser,  # type: ignore[arg-type]
        path=path,
        condition=like,
        clip=False,
        on_step=lambda step: seen.append(step.x),
    )
    x = start_of(task, like, noise)
    sa_solver(task, x, tau=tau, order=1, noise=noise)
    a, s = [float(v) for v in path.signal], [float(v) for v in path.noise]
    l2, l1 = math.log(a[2] / s[2]), math.log(a[1] / s[1])
    h, k = l1 - l2, 1 + tau**2
    places, w = np.polynomial.legendre.leggauss(80)
    lam = l2 + h * (places + 1) / 2
    kernel = k * np.exp(-k * (l1 - lam)) * w * h / 2
    z = noise.draw(x, state=1)
    base = s[1] / s[2] * math.exp(-(tau**2) * h) * x
    base = base + s[1] * math.sqrt(1 - math.exp(-2 * tau**2 * h)) * z
    q2 = denoiser(x, torch.tensor([2000]), like)
    predicted = base + a[1] * float(kernel.sum()) * q2
    q1 = denoiser(predicted, torch.tensor([300]), like)
    b1 = float((kernel * (lam - l2) / h).sum())
    b2 = float((kernel * (l1 - lam) / h).sum())
    assert (seen[0] - (base + a[1] * (b1 * q1 + b2 * q2))).abs().max() <= 1e-12
    assert (seen[1] - q1).abs().max() <= 1e-12  # PEC: no evaluation after the corrector


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_stochastic_sa_solver_reproduces_mean_and_variance(tau: float, gaussian: Gaussian) -> None:
    path = even_path(60)
    denoiser = gaussian(path=path, mean=0.3, variance=0.25, prediction="v")
    like = torch.zeros((1, 1, 128, 128), dtype=torch.float64)
    task = Task(denoiser=denoiser, path=path, condition=like, clip=False)  # type: ignore[arg-type]
    noise = Noise(seed=6)
    drawn = sa_solver(task, start_of(task, like, noise), tau=tau, noise=noise)
    assert float(drawn.mean()) == pytest.approx(0.3, abs=0.5 * 4 / 128 + 0.005)
    assert float(drawn.std()) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(
    "full", [resshift(kappa=0.5), irsde(), rddm(num_steps=200)], ids=["resshift", "irsde", "rddm"]
)
def test_solvers_agree_on_every_centred_path(full: Path, gaussian: Gaussian) -> None:
    """With many steps all deterministic samplers reach the exact flow of the Gaussian."""
    denoiser = gaussian(path=full, mean=0.1, variance=0.04, centre=0.4, prediction="x0")
    mu = pixel(0.4)
    task = Task(denoiser=denoiser, path=full, condition=mu, centre=mu, clip=False)  # type: ignore[arg-type]
    a, s = float(full.signal[-1]), float(full.noise[-1])
    start = pixel(0.4 + a * 0.1 + 0.8 * math.sqrt(a**2 * 0.04 + s**2))
    exact = 0.4 + 0.1 + 0.8 * 0.2
    near = 0.05 if full.num_steps < 50 else 0.01
    for solve in (ddim, dpm_solver_2m, lambda t, x: sa_solver(t, x, tau=0.0)):
        assert float(solve(task, start)) == pytest.approx(exact, abs=near)


def test_one_step_is_the_prediction_for_every_solver(gaussian: Gaussian) -> None:
    path = respace(irsde(), [100])
    mu = pixel(0.4)
    denoiser = gaussian(path=path, centre=0.4, prediction="x0")
    task = Task(denoiser=denoiser, path=path, condition=mu, centre=mu, clip=False)  # type: ignore[arg-type]
    want = denoiser(pixel(0.7), torch.tensor([100]), mu)
    for solve in (ddim, dpm_solver_2m, mrs, lambda t, x: sa_solver(t, x, noise=Noise(seed=1))):
        assert (solve(task, pixel(0.7)) - want).abs().max() <= 1e-15
