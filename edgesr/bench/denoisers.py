"""Time of one denoising step: small networks on the low-resolution grid against SR3's UNet."""

from typing import Any

import torch

from edgesr.bench.cost_denoiser import denoiser_cost
from edgesr.bench.timing import Work
from edgesr.models.denoisers import build_denoiser
from edgesr.models.fold_timestep import fold_timestep

NAMES = ("resshift_px_m", "resshift_px_s", "resshift_px_l", "sr3")
"""Contenders; the first is the measure of the others."""

DEFAULT_SHAPE = (64, 64)
_SCALE = 4
_TIMESTEP = 1.0


def denoiser_contenders(
    shape: tuple[int, int] = DEFAULT_SHAPE, *, names: tuple[str, ...] = NAMES, scale: int = _SCALE
) -> dict[str, Work]:
    """Return one float32 step each in torch, its timestep folded in, with random weights.

    The time of a step does not depend on the weights' values.

    Args:
        shape: ``(h, w)`` of the low-resolution image.
        names: keys of ``DENOISERS``.
        scale: upscaling factor.

    Raises:
        ConfigError: no such denoiser, or not for that factor.
    """
    return {f"{name} x{scale}": _step(name, shape, scale) for name in names}


def denoiser_costs(
    shape: tuple[int, int] = DEFAULT_SHAPE,
    *,
    steps: int,
    names: tuple[str, ...] = NAMES,
    scale: int = _SCALE,
) -> dict[str, dict[str, Any]]:
    """Return parameters, MACs of a step and of all steps of every contender, by its name.

    Args:
        shape: ``(h, w)`` of the low-resolution image.
        steps: evaluations for an image.
        names: keys of ``DENOISERS``.
        scale: upscaling factor.

    Raises:
        ConfigError: no such denoiser, or not for that factor.
    """
    found = {}
    for name in names:
        cost = denoiser_cost(name, shape=shape, scale=scale, steps=steps).to_json()
        kept = ("params", "macs", "num_steps", "total_macs")
        found[f"{name} x{scale}"] = {key: cost[key] for key in kept}
    return found


def _step(name: str, shape: tuple[int, int], scale: int) -> Work:
    network = fold_timestep(build_denoiser(name, scale), _TIMESTEP)
    generator = torch.Generator().manual_seed(0)
    lr = 2 * torch.rand(1, 3, *shape, generator=generator) - 1
    x_t = torch.randn(1, 3, scale * shape[0], scale * shape[1], generator=generator)

    def step() -> torch.Tensor:
        with torch.inference_mode():
            prediction: torch.Tensor = network(x_t, lr)
        return prediction

    return step
