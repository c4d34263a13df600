"""Schedules: every function returns a ``Path``. All are named in ``SCHEDULES``."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from edgesr.diffusion.path import Path
from edgesr.errors import DiffusionError

_Table = npt.NDArray[np.float64]


def ddpm_linear(*, num_steps: int = 2000, first: float = 1e-6, last: float = 1e-2) -> Path:
    """Variance-preserving path with noise added at a linearly rising rate; the defaults are SR3's.

    Args:
        num_steps: number of steps.
        first: variance added in the first step, in (0, 1).
        last: variance added in the last step, in (0, 1).

    Raises:
        DiffusionError: a parameter out of range.

    Source: Ho et al. 2020, arXiv 2006.11239, section 2; the figures are those that public training
    settings of SR3 (Saharia et al. 2021, arXiv 2104.07636) have.
    """
    _check("ddpm_linear", num_steps, first=0 < first < 1, last=0 < last < 1)
    return _variance_preserving("ddpm_linear", np.linspace(first, last, num_steps))


def cosine(*, num_steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> Path:
    """Variance-preserving path whose signal falls as a squared cosine.

    Args:
        num_steps: number of steps.
        offset: keeps the first steps from being too small; at least 0.
        max_beta: largest variance added in one step, in (0, 1).

    Raises:
        DiffusionError: a parameter out of range.

    Source: Nichol and Dhariwal 2021, arXiv 2102.09672, section 3.2.
    """
    _check("cosine", num_steps, offset=offset >= 0, max_beta=0 < max_beta < 1)
    kept = _squared_cosine(num_steps, offset)
    return _variance_preserving("cosine", np.minimum(1 - kept[1:] / kept[:-1], max_beta))


def resshift(
    *,
    num_steps: int = 15,
    kappa: float = 2.0,
    power: float = 0.3,
    min_noise: float = 0.04,
    last: float = 0.99,
) -> Path:
    """Path that shifts the image to its upsampled version while noise grows.

    The defaults are the published 15 steps; the published 4 steps have ``min_noise=0.2``. With
    images in [-1, 1] ``kappa=2`` is strong noise: it was chosen for a latent space.

    Args:
        num_steps: number of steps, at least 2.
        kappa: noise at full shift, in units of the image; positive.
        power: below 1, more of the shift happens in late steps' logarithm; positive.
        min_noise: standard deviation of the noise at state 1 if ``kappa`` is at least 1; positive.
        last: square root of the shift at the last state, above the first's, at most 1.

    Raises:
        DiffusionError: a parameter out of range.

    Source: Yue et al. 2023, arXiv 2307.12348, sections 3.1 and 3.2; the first and last value as in
    the authors' code, where the first is ``min(min_noise / kappa, min_noise)`` and nothing else.
    """
    _check(
        "resshift",
        num_steps - 1,
        kappa=0 < kappa < math.inf,
        power=0 < power < math.inf,
        min_noise=min_noise > 0,
        last=0 < last <= 1,
    )
    first = min(min_noise / kappa, min_noise)
    _check("resshift", num_steps, last=first < last)
    progress = (np.arange(num_steps) / (num_steps - 1)) ** power
    root = np.concatenate([[0.0], first * (last / first) ** progress])
    return Path(
        name="resshift",
        signal=1 - root**2,
        noise=kappa * root,
        timesteps=np.arange(num_steps + 1),
        chain="shift",
        centred=True,
    )


def irsde(
    *, num_steps: int = 100, sigma: float = 60 / 255, remains: float = 0.005, offset: float = 0.008
) -> Path:
    """Path that reverts to the upsampled image, with the cosine rate of IR-SDE.

    Args:
        num_steps: number of steps.
        sigma: noise far along the path, in units of the image; positive. Published for
            super-resolution: 30 of 255 grey levels, which is 60 / 255 for images in [-1, 1].
        remains: signal left at the last state, in (0, 1).
        offset: of the cosine; at least 0.

    Raises:
        DiffusionError: a parameter out of range.

    Source: Luo et al. 2023, arXiv 2301.11699, section 3.1; rate and step as in the authors' code.
    """
    _check(
        "irsde", num_steps, sigma=0 < sigma < math.inf, remains=0 < remains < 1, offset=offset >= 0
    )
    # The authors' table starts one step early, and its first entry is taken out of the sum.
    rates = (1 - _squared_cosine(num_steps + 2, offset))[2:-1]
    run = np.concatenate([[0.0], np.cumsum(rates)])
    decay = run * (-math.log(remains) / run[-1])
    return Path(
        name="irsde",
        signal=np.exp(-decay),
        noise=sigma * np.sqrt(-np.expm1(-2 * decay)),
        timesteps=np.arange(num_steps + 1),
        chain="decay",
        centred=True,
    )


def rddm(
    *, num_steps: int = 1000, variance: float = 0.01, removal: float = 1.0, growth: float = 1.0
) -> Path:
    """RDDM-like path: the residual leaves fast at first, noise comes late; no signal at the end.

    The increments are the paper's powers of time, normalized to sum to 1 exactly; those of the
    residual are taken a step earlier, so that only the last state is without signal. The paper's
    residual has the opposite sign of ours. There, noise alone does not tell the image: the network
    has to predict ``x0``, ``residual`` or ``v``.

    Args:
        num_steps: number of steps, at least 2.
        variance: of the noise at the last state; positive.
        removal: power of the falling residual increments; at least 0.
        growth: power of the rising noise increments; at least 0.

    Raises:
        DiffusionError: a parameter out of range.

    Source: Liu et al. 2023, arXiv 2308.13712, its forward process and its powers of time; with
    powers of 1 the tables are those of the linear coefficients in public code, which takes the
    residual a step earlier as well.
    """
    _check(
        "rddm",
        num_steps - 1,
        variance=0 < variance < math.inf,
        removal=removal >= 0,
        growth=growth >= 0,
    )
    time = np.arange(1, num_steps + 1) / num_steps
    gone = _running_share((1 - time + 1 / num_steps) ** removal)
    return Path(
        name="rddm",
        signal=1 - gone,
        noise=np.sqrt(variance * _running_share(time**growth)),
        timesteps=np.arange(num_steps + 1),
        chain="shift",
        centred=True,
    )


SCHEDULES: Mapping[str, Callable[..., Path]] = MappingProxyType(
    {
        "ddpm_linear": ddpm_linear,
        "cosine": cosine,
        "resshift": resshift,
        "irsde": irsde,
        "rddm": rddm,
    }
)


def find_schedule(name: str) -> Callable[..., Path]:
    """Return a schedule by name; each can be called without arguments.

    Raises:
        DiffusionError: no such schedule.
    """
    if name not in SCHEDULES:
        raise DiffusionError(f"schedule {name!r} is not known, want one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name]


def _variance_preserving(name: str, betas: _Table) -> Path:
    log_kept = np.concatenate([[0.0], np.cumsum(np.log1p(-betas))])
    return Path(
        name=name,
        signal=np.exp(log_kept / 2),
        noise=np.sqrt(-np.expm1(log_kept)),  # exact also where almost all is kept
        timesteps=np.arange(betas.size + 1),
        chain="decay",
        centred=False,
    )


def _squared_cosine(num_steps: int, offset: float) -> _Table:
    time = np.arange(num_steps + 1) / num_steps
    values = np.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return np.asarray(values / values[0], np.float64)


def _running_share(increments: _Table) -> _Table:
    total = np.concatenate([[0.0], np.cumsum(increments)])
    return np.asarray(total / total[-1], np.float64)


def _check(name: str, steps: int, **fine: bool) -> None:
    if steps < 1:
        raise DiffusionError(f"schedule {name}: num_steps is too small; see its docstring")
    for parameter, ok in fine.items():
        if not ok:
            raise DiffusionError(f"schedule {name}: {parameter} is out of range; see its docstring")
