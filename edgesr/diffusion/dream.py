"""DREAM: train on the noisy images that the network's own errors lead to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from edgesr.diffusion.path import Path, diffuse, level
from edgesr.diffusion.prediction import to_eps, training_target
from edgesr.diffusion.task import Denoiser
from edgesr.errors import DiffusionError


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """What the network sees and what it should say, both ``(n, c, h, w)``."""

    x: Tensor
    target: Tensor


def dream(  # noqa: PLR0913
    denoiser: Denoiser,
    path: Path,
    t: Tensor,
    x0: Tensor,
    *,
    noise: Tensor,
    condition: Tensor,
    centre: Tensor | None,
    power: float = 1.0,
) -> Example:
    """Return a training example with rectified noise; one more evaluation, without gradient.

    The noise is moved away from the prediction by a share that grows with the state's noise:
    ``noise + share (noise - predicted)``. Input and target both follow from it, which is the
    paper's rule for ``eps`` and leaves the target of ``x0`` and ``residual`` as it is. The share is
    ``(s / sqrt(a^2 + s^2)) ** power``: the paper's on a variance-preserving path, ours elsewhere.

    Args:
        denoiser: the network in training.
        path: of any schedule.
        t: int64 ``(n,)``, from 1.
        x0: ``(n, c, h, w)`` in [-1, 1].
        noise: standard normal, of the shape of ``x0``.
        condition: handed to the denoiser.
        centre: of the shape of ``x0`` where the path has a centre, else None.
        power: 1 as published; infinity is plain training.

    Raises:
        DiffusionError: a negative power, state 0, or images that do not fit.

    Source: Zhou et al. 2023, arXiv 2312.00210, its rectified loss with estimation adaptation;
    compared with the authors' code.
    """
    if not power >= 0:
        raise DiffusionError(f"dream: power is {power}, want 0 or more")
    x = diffuse(path, t, x0, noise=noise, centre=centre)
    timesteps = torch.from_numpy(path.timesteps.copy())[t.cpu()].to(x.device)
    kind = denoiser.prediction
    with torch.no_grad():
        predicted = denoiser(x, timesteps, condition)
        predicted_noise = to_eps(path, t, x, predicted, kind=kind, centre=centre)
    signal, spread = level(path, "signal", t, x0), level(path, "noise", t, x0)
    share = (spread / (signal**2 + spread**2) ** 0.5) ** power
    rectified = noise + share * (noise - predicted_noise)
    return Example(
        x=diffuse(path, t, x0, noise=rectified, centre=centre),
        target=training_target(path, t, x0, noise=rectified, kind=kind, centre=centre),
    )
