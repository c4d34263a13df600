"""SA-Solver: stochastic Adams methods with predict, evaluate, correct."""

from torch import Tensor

from edgesr.diffusion.adams import multistep
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.task import Task
from edgesr.errors import DiffusionError

_ORDERS = (1, 2, 3)


def sa_solver(
    task: Task,
    start: Tensor,
    *,
    tau: float = 1.0,
    order: int = 2,
    noise: Noise | None = None,
) -> Tensor:
    """Walk to the clean image with SA-Solver, one evaluation a step.

    It needs only the path's tables, so it fits every schedule. ``tau`` is the same in all steps;
    the paper also switches it on for a part of them only. The last step takes the prediction.

    Args:
        task: denoiser, path and images.
        start: ``(n, c, h, w)``, at the path's last state.
        tau: strength of the noise: 0 solves the ordinary equation, 1 the usual stochastic one.
        order: predictions in the predictor, 1 to 3; the corrector has one more.
        noise: needed if ``tau`` is above 0.

    Returns:
        ``(n, c, h, w)``, around [-1, 1].

    Raises:
        DiffusionError: ``tau`` or ``order`` out of range, noise that is missing, images that do
            not fit, or values that are not finite.

    Source: Xue et al. 2023, arXiv 2309.05019, its predictor and corrector in data prediction; see
    ``edgesr.diffusion.adams`` for what the authors' code does otherwise. There the corrector's
    order is chosen on its own.
    """
    if not tau >= 0:
        raise DiffusionError(f"sa_solver: tau is {tau}, want 0 or more")
    if order not in _ORDERS:
        raise DiffusionError(f"sa_solver: order is {order}, want 1, 2 or 3")
    return multistep(
        task,
        start,
        sampler="sa_solver with tau above 0",
        order=order,
        tau=tau,
        noise=noise,
        correct=True,
    )
