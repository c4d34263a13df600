"""Samplers that use one prediction a step: ancestral, and DDIM with any share of its noise."""

import math
from dataclasses import dataclass

from torch import Tensor

from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path
from edgesr.diffusion.task import Task, draw
from edgesr.errors import DiffusionError


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One step: ``x_u = c + keep (x_t - c) + add residual + spread noise``."""

    keep: float
    add: float
    spread: float


def transition(path: Path, t: int, u: int, *, eta: float) -> Transition:
    """Return the step from state ``t`` to a cleaner state ``u``.

    Args:
        path: of any schedule.
        t: state that is left.
        u: state that is reached, below ``t``.
        eta: 0 for no noise, 1 for all that the posterior of the path has.

    Source: Song et al. 2020, arXiv 2010.02502, eq. 12 and 16, on the path's residual. At ``eta=1``
    the mean and variance are those of Ho et al. 2020, arXiv 2006.11239, eq. 7, of Yue et al. 2023,
    arXiv 2307.12348, section 3.1 (ResShift), of Liu et al. 2023, arXiv 2308.13712 (RDDM), and of
    Luo et al. 2023, arXiv 2301.11699 (IR-SDE): the mean is the paper's optimum, the variance that
    of the posterior sampler in the authors' code.
    """
    (a_t, s_t), (a_u, s_u) = ((float(path.signal[i]), float(path.noise[i])) for i in (t, u))
    carried = s_u * (a_t / a_u if path.chain == "decay" else 1.0)
    spread = eta * s_u / s_t * math.sqrt(max(s_t**2 - carried**2, 0.0))  # eq. 16
    keep = math.sqrt(max(s_u**2 - spread**2, 0.0)) / s_t
    return Transition(keep=keep, add=a_u - keep * a_t, spread=spread)


def ddim(task: Task, start: Tensor, *, eta: float = 0.0, noise: Noise | None = None) -> Tensor:
    """Walk to the clean image with DDIM; on a ResShift path this is SinSR's deterministic teacher.

    A prediction that was clipped is used clipped in both places, as if the noise had been computed
    again from it.

    Args:
        task: denoiser, path and images.
        start: ``(n, c, h, w)``, at the path's last state.
        eta: share of the posterior's standard deviation, in [0, 1]; 0 is deterministic.
        noise: needed if ``eta`` is above 0.

    Returns:
        ``(n, c, h, w)``, around [-1, 1].

    Raises:
        DiffusionError: ``eta`` out of range, noise that is missing, images that do not fit, or
            values that are not finite.

    Source: Song et al. 2020, arXiv 2010.02502, eq. 12; Wang et al. 2023, arXiv 2311.14760.
    """
    if not 0 <= eta <= 1:
        raise DiffusionError(f"ddim: eta is {eta}, want 0 to 1")
    x = task.begin(start)
    centre = task.offset(x)
    for t, u in task.path.steps():
        residual = task.residual(x, t)
        step = transition(task.path, t, u, eta=eta)
        x = centre + step.keep * (x - centre) + step.add * residual  # eq. 12
        if step.spread:
            x = x + step.spread * draw(noise, x, state=u, sampler="ddim with eta above 0")
        x = task.arrive(x, t, residual)
    return x


def ancestral(task: Task, start: Tensor, *, noise: Noise) -> Tensor:
    """Walk to the clean image by draws from the path's posterior, the last step without noise.

    The posterior is that of the path's chain: DDPM and IR-SDE, or ResShift and RDDM.

    Args:
        task: denoiser, path and images.
        start: ``(n, c, h, w)``, at the path's last state.
        noise: of the steps.

    Returns:
        ``(n, c, h, w)``, around [-1, 1].

    Raises:
        DiffusionError: images that do not fit, or values that are not finite.

    Source: Ho et al. 2020, arXiv 2006.11239, algorithm 2; Yue et al. 2023, arXiv 2307.12348,
    section 3.1; the posterior sampler in the code of Luo et al. 2023, arXiv 2301.11699.
    """
    return ddim(task, start, eta=1.0, noise=noise)
