"""DPM-Solver++ 2M: two predictions a step, one of them remembered."""

import math

from torch import Tensor

from edgesr.diffusion.task import Task


def dpm_solver_2m(task: Task, start: Tensor) -> Tensor:
    """Walk to the clean image with the second-order multistep solver, deterministic.

    It needs only the path's tables, so it fits every schedule. The first step, and the last one to
    the state without noise, are of first order.

    Args:
        task: denoiser, path and images.
        start: ``(n, c, h, w)``, at the path's last state.

    Returns:
        ``(n, c, h, w)``, around [-1, 1].

    Raises:
        DiffusionError: images that do not fit, or values that are not finite.

    Source: Lu et al. 2022, arXiv 2211.01095, DPM-Solver++(2M), on the path's residual. The authors'
    code takes a last step of first order only below ten steps, or where it is asked to.
    """
    x = task.begin(start)
    centre = task.offset(x)
    path, snr = task.path, task.path.half_log_snr
    before: tuple[Tensor, float] | None = None
    for t, u in path.steps():
        residual = task.residual(x, t)
        h = float(snr[u] - snr[t])
        mixed = residual
        if before is not None and u > 0:
            earlier, h_before = before
            ahead = h / (2 * h_before)
            mixed = (1 + ahead) * residual - ahead * earlier
        shrink = float(path.noise[u] / path.noise[t])
        gain = -float(path.signal[u]) * math.expm1(-h)
        x = task.arrive(centre + shrink * (x - centre) + gain * mixed, t, residual)
        before = (residual, h)
    return x
