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
SIDES = (0.5, 2.0)
"""The first contender is also timed on images with sides so many times as long."""
_SCALE = 4
_TIMESTEP = 1.0


def denoiser_contenders(
    shape: tuple[int, int] = DEFAULT_SHAPE,
    *,
    names: tuple[str, ...] = NAMES,
    scale: int = _SCALE,
    sides: tuple[float, ...] = SIDES,
) -> dict[str, Work]:
    """Return one float32 step each in torch, its timestep folded in, with random weights.

    The time of a step does not depend on the weights' values.

    Args:
        shape: ``(h, w)`` of the low-resolution image.
        names: keys of ``DENOISERS``.
        scale: upscaling factor.
        sides: the first of ``names`` is also timed on images with sides so many times as long.

    Raises:
        ConfigError: no such denoiser, or not for that factor.
    """
    return {
        called: _step(name, size, scale)
        for called, (name, size) in _called(shape, names, scale, sides).items()
    }


def denoiser_costs(
    shape: tuple[int, int] = DEFAULT_SHAPE,
    *,
    steps: int,
    names: tuple[str, ...] = NAMES,
    scale: int = _SCALE,
    sides: tuple[float, ...] = SIDES,
) -> dict[str, dict[str, Any]]:
    """Return parameters, MACs of a step and of all steps of every contender, by its name.

    Args:
        shape: ``(h, w)`` of the low-resolution image.
        steps: evaluations for an image.
        names: keys of ``DENOISERS``.
        scale: upscaling factor.
        sides: as for ``denoiser_contenders``.

    Raises:
        ConfigError: no such denoiser, or not for that factor.
    """
    found = {}
    for called, (name, size) in _called(shape, names, scale, sides).items():
        cost = denoiser_cost(name, shape=size, scale=scale, steps=steps).to_json()
        kept = ("params", "macs", "num_steps", "total_macs")
        found[called] = {key: cost[key] for key in kept} | {"pixels": size[0] * size[1]}
    return found


def _called(
    shape: tuple[int, int], names: tuple[str, ...], scale: int, sides: tuple[float, ...]
) -> dict[str, tuple[str, tuple[int, int]]]:
    """Return denoiser and size by the names that timings have."""
    found = {f"{name} x{scale}": (name, shape) for name in names}
    for times in sides:
        height, width = (max(2, round(times * side)) for side in shape)
        found[f"{names[0]} x{scale} {width}x{height}"] = (names[0], (height, width))
    return found


def _step(name: str, shape: tuple[int, int], scale: int) -> Work:
    network = fold_timestep(build_denoiser(name, scale), _TIMESTEP)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # as upscalers do
    generator = torch.Generator().manual_seed(0)
    lr = 2 * torch.rand(1, 3, *shape, generator=generator) - 1
    x_t = torch.randn(1, 3, scale * shape[0], scale * shape[1], generator=generator)

    def step() -> torch.Tensor:
        with torch.inference_mode():
            prediction: torch.Tensor = network(x_t, lr)
        return prediction

    return step
