"""MRS-style solver for paths that revert to an image (IR-SDE)."""

from typing import Literal

from torch import Tensor

from edgesr.diffusion.adams import multistep
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.task import Task
from edgesr.errors import DiffusionError


def mrs(
    task: Task,
    start: Tensor,
    *,
    equation: Literal["ode", "sde"] = "ode",
    order: int = 2,
    noise: Noise | None = None,
) -> Tensor:
    """Walk a mean-reverting path to the clean image in few steps.

    With the distance to the centre in place of the image, MR Sampler's data prediction is the
    exponential multistep method without corrector: noise strength 0 for the ordinary equation, 1
    for the stochastic one. Orders 1 and 2 have the coefficients of the authors' code in between.
    It is MRS-style and no more: the last step takes the prediction, where theirs interpolates
    tables near state 0; the order does not fall before it; there is no third order and no
    solution for noise prediction.

    Args:
        task: denoiser, path and images; the path has a centre and a ``decay`` chain.
        start: ``(n, c, h, w)``, at the path's last state.
        equation: ``ode`` is deterministic.
        order: 1 or 2.
        noise: needed for ``sde``.

    Returns:
        ``(n, c, h, w)``, around [-1, 1].

    Raises:
        DiffusionError: a path that does not revert to an image, another equation or order, noise
            that is missing, images that do not fit, or values that are not finite.

    Source: Li et al. 2025, arXiv 2502.07856, its solutions in data prediction; compared
    with the authors' code.
    """
    path = task.path
    if not (path.centred and path.chain == "decay"):
        raise DiffusionError(
            f"mrs: path {path.name} does not revert to an image, want irsde; "
            "dpm_solver_2m and sa_solver fit every path"
        )
    if order not in (1, 2):
        raise DiffusionError(f"mrs: order is {order}, want 1 or 2")
    if equation not in ("ode", "sde"):
        raise DiffusionError(f"mrs: equation is {equation!r}, want ode or sde")
    return multistep(
        task,
        start,
        sampler="mrs with the stochastic equation",
        order=order,
        tau=1.0 if equation == "sde" else 0.0,
        noise=noise,
        correct=False,
    )
