"""The best linear guess of the clean image from a noisy one, and how wrong it usually is."""

import torch
from torch import Tensor

from edgesr.diffusion.path import Path, State, centre_of, level
from edgesr.errors import DiffusionError

_RESIDUAL_POWER = 0.1**2
"""Of what bicubic enlargement of photographs lacks, images in [-1, 1]; .12**2 at x4."""


def linear_guess(path: Path, t: State, x: Tensor, centre: Tensor | None) -> Tensor:
    """Return ``c + w (x - c)`` with ``w = a v / (a^2 v + s^2)``, ``v`` the residual's usual power.

    It lies in [-1, 1] but for little, whatever the state; where there is nothing but noise it is
    the centre.

    Args:
        path: one with a centre.
        t: state of ``x``, or one for each image.
        x: ``(n, c, h, w)``, noisy image.
        centre: of the shape of ``x``.

    Raises:
        DiffusionError: the path has no centre, a state is not in it, or shapes do not fit.
    """
    offset = _want_centre(path, centre, x)
    signal, noise = level(path, "signal", t, x), level(path, "noise", t, x)
    weight = signal * _RESIDUAL_POWER / (signal**2 * _RESIDUAL_POWER + noise**2)
    return offset + weight * (x - offset)


def usual_error(path: Path, t: State, x: Tensor) -> float | Tensor:
    """Return the guess's usual error over the centre's, ``s / sqrt(a^2 v + s^2)``.

    It is in (0, 1], shaped to multiply ``x``. At state 0 the guess is exact; 1 stands there, since
    what a network says of that state (the way back in distillation) has nothing to do with it.

    Args:
        path: of any schedule.
        t: state, or one for each image.
        x: ``(n, c, h, w)``, for its shape, type and device.
    """
    signal, noise = level(path, "signal", t, x), level(path, "noise", t, x)
    if not isinstance(signal, Tensor) or not isinstance(noise, Tensor):
        assert isinstance(signal, float)  # noqa: S101 - level() gives two of a kind
        assert isinstance(noise, float)  # noqa: S101
        return noise / (signal**2 * _RESIDUAL_POWER + noise**2) ** 0.5 if noise else 1.0
    error = noise / (signal**2 * _RESIDUAL_POWER + noise**2).sqrt()
    return torch.where(noise == 0, torch.ones_like(error), error)


def _want_centre(path: Path, centre: Tensor | None, x: Tensor) -> Tensor:
    offset = centre_of(path, centre, x)
    if not isinstance(offset, Tensor):
        raise DiffusionError(
            f"path {path.name}: it has no centre, and a linear guess needs one; "
            "want resshift, irsde or rddm"
        )
    return offset
