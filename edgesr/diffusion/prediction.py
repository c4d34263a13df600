"""What a network predicts, and how to get the other three from it.

With ``d = x_t - c`` and ``r = x0 - c``: ``d = a r + s eps`` and ``v = a eps - s r``.

Source: Salimans and Ho 2022, arXiv 2202.00512, section 4, where ``a^2 + s^2 = 1``; here it need not
be.
"""

from torch import Tensor

from edgesr.diffusion.path import Path, State, centre_of, level
from edgesr.errors import DiffusionError
from edgesr.models.denoiser import Prediction

__all__ = ["Prediction", "to_eps", "to_residual", "to_v", "to_x0", "training_target"]


def to_residual(  # noqa: PLR0913
    path: Path,
    t: State,
    x: Tensor,
    predicted: Tensor,
    *,
    kind: Prediction,
    centre: Tensor | None,
) -> Tensor:
    """Return the residual ``x0 - c`` that a prediction stands for.

    Args:
        path: of any schedule.
        t: state of ``x``, or one for each image.
        x: ``(n, c, h, w)``, noisy image at state ``t``.
        predicted: of the shape of ``x``.
        kind: what ``predicted`` is.
        centre: of the shape of ``x`` where the path has a centre, else None.

    Raises:
        DiffusionError: a state not in the path, an unknown kind, or ``eps`` where the state holds
            no signal.
    """
    offset = centre_of(path, centre, x)
    signal, noise = level(path, "signal", t, x), level(path, "noise", t, x)
    if kind == "x0":
        return predicted - offset
    if kind == "residual":
        return predicted
    if kind == "eps":
        _nonzero(signal, f"path {path.name}: a state without signal, where eps does not tell x0")
        return (x - offset - noise * predicted) / signal
    if kind == "v":
        return (signal * (x - offset) - noise * predicted) / (signal**2 + noise**2)
    raise DiffusionError(f"prediction {kind!r} is not known, want x0, residual, eps or v")


def to_x0(  # noqa: PLR0913
    path: Path,
    t: State,
    x: Tensor,
    predicted: Tensor,
    *,
    kind: Prediction,
    centre: Tensor | None,
) -> Tensor:
    """Return the clean image; arguments and errors as ``to_residual``."""
    residual = to_residual(path, t, x, predicted, kind=kind, centre=centre)
    return residual + centre_of(path, centre, x)


def to_eps(  # noqa: PLR0913
    path: Path,
    t: State,
    x: Tensor,
    predicted: Tensor,
    *,
    kind: Prediction,
    centre: Tensor | None,
) -> Tensor:
    """Return the noise; arguments as ``to_residual``.

    Raises:
        DiffusionError: as ``to_residual``, and at state 0, which has no noise.
    """
    residual = to_residual(path, t, x, predicted, kind=kind, centre=centre)
    signal, noise = level(path, "signal", t, x), level(path, "noise", t, x)
    _nonzero(noise, f"path {path.name}: state 0, which has no noise")
    return (x - centre_of(path, centre, x) - signal * residual) / noise


def to_v(  # noqa: PLR0913
    path: Path,
    t: State,
    x: Tensor,
    predicted: Tensor,
    *,
    kind: Prediction,
    centre: Tensor | None,
) -> Tensor:
    """Return ``a eps - s residual``; arguments and errors as ``to_eps``."""
    eps = to_eps(path, t, x, predicted, kind=kind, centre=centre)
    residual = to_residual(path, t, x, predicted, kind=kind, centre=centre)
    return level(path, "signal", t, x) * eps - level(path, "noise", t, x) * residual


def training_target(  # noqa: PLR0913
    path: Path,
    t: State,
    x0: Tensor,
    *,
    noise: Tensor,
    kind: Prediction,
    centre: Tensor | None,
) -> Tensor:
    """Return what a network of this kind should predict for ``diffuse`` of the same arguments.

    Raises:
        DiffusionError: a state not in the path, an unknown kind, or shapes that do not fit.
    """
    residual = x0 - centre_of(path, centre, x0)
    if kind == "x0":
        return x0
    if kind == "residual":
        return residual
    if kind == "eps":
        return noise
    if kind == "v":
        return level(path, "signal", t, x0) * noise - level(path, "noise", t, x0) * residual
    raise DiffusionError(f"prediction {kind!r} is not known, want x0, residual, eps or v")


def _nonzero(value: float | Tensor, where: str) -> None:
    zero = bool((value == 0).any()) if isinstance(value, Tensor) else value == 0
    if zero:
        raise DiffusionError(f"{where}; choose other states or another prediction")
