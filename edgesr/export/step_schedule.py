"""From a denoiser and its path to the schedule that a file's host runs by."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch

from edgesr.diffusion.centre import regression_of
from edgesr.diffusion.conditioned import network_input
from edgesr.diffusion.first_order import transition
from edgesr.diffusion.path import Path
from edgesr.diffusion.prediction import to_residual
from edgesr.diffusion.tiles import halo_of
from edgesr.errors import DiffusionError
from edgesr.export.stepwise import signature_names
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.quant.scheme import GREY_LEVELS, QParams
from edgesr.quant.stepwise import NO_CORRECTION, Correction
from edgesr.upscalers.step_schedule import (
    CENTRE,
    Move,
    OutputGrid,
    PathTables,
    Residual,
    ScheduledCentre,
    ScheduledStep,
    StepSchedule,
)

_NONE: Mapping[int, Correction] = MappingProxyType({})
_ETAS = MappingProxyType({"ddim": 0.0, "ancestral": 1.0})
"""Share of the posterior's noise, by sampler."""


def step_schedule(
    loaded: LoadedDenoiser,
    whole: Path,
    sampled: Path,
    outputs: Sequence[QParams] | None,
    *,
    corrections: Mapping[int, Correction] = _NONE,
) -> StepSchedule:
    """Return the schedule of a file.

    Args:
        loaded: the denoiser.
        whole: path that it was trained on.
        sampled: the same path with the states that have signatures.
        outputs: grid of every step's output, the noisiest first; None for a float32 file.
        corrections: by timestep, what the host takes out of the prediction.

    Raises:
        DiffusionError: another number of grids than steps, or a state at which the prediction does
            not tell the image.
    """
    names = signature_names(sampled.num_steps, has_centre=loaded.centre is not None)
    grids = [OutputGrid(scale=1.0, zero_point=0)] * len(names)
    if outputs is not None:
        grids = [OutputGrid(scale=float(o.scale), zero_point=o.zero_point) for o in outputs]
    if len(grids) != len(names):
        raise DiffusionError(f"{len(grids)} output grids for {len(names)} steps; want one each")
    steps = []
    for name, grid, (state, below) in zip(names, grids, sampled.steps(), strict=True):
        timestep = int(sampled.timesteps[state])
        correction = corrections.get(timestep, NO_CORRECTION)
        steps.append(
            ScheduledStep(
                signature=name,
                state=state,
                timestep=timestep,
                shown=_shown(whole, timestep),
                output=grid,
                mean=correction.mean,
                gain=correction.gain,
                residual=_residual(sampled, state, loaded),
                moves={
                    sampler: _move(sampled, state, below, eta) for sampler, eta in _ETAS.items()
                },
            )
        )
    return StepSchedule(
        scale=loaded.scale,
        multiple=loaded.descriptor.multiple,
        halo=halo_of(loaded.descriptor),
        io="float32" if outputs is None else "int8",
        centred=whole.centred,
        prediction=loaded.prediction,
        start_noise=float(sampled.noise[-1]),
        path=PathTables(
            name=loaded.schedule.name,
            parameters=dict(loaded.schedule.parameters),
            timesteps=tuple(sampled.timesteps.tolist()),
            signal=tuple(sampled.signal.tolist()),
            noise=tuple(sampled.noise.tolist()),
        ),
        steps=tuple(steps),
        centre=_centre(loaded, is_float=outputs is None),
    )


def _centre(loaded: LoadedDenoiser, *, is_float: bool) -> ScheduledCentre | None:
    regression = regression_of(loaded.centre)
    if regression is None:
        return None
    zero_point = 0 if is_float else GREY_LEVELS.zero_point
    return ScheduledCentre(signature=CENTRE, halo=regression.halo, zero_point=zero_point)


def _shown(whole: Path, timestep: int) -> float:
    """Return the factor of ``x - o`` in what the network is shown, by showing it 1 around 0."""
    one = torch.ones((1, 1, 1, 1), dtype=torch.float64)
    centre = torch.zeros_like(one) if whole.centred else None
    return float(network_input(whole, timestep, one, centre))


def _residual(path: Path, state: int, loaded: LoadedDenoiser) -> Residual:
    """Return the coefficients of the residual, which is linear in all that it depends on."""
    zero = torch.zeros((1, 1, 1, 1), dtype=torch.float64)
    one = torch.ones_like(zero)

    def at(x: torch.Tensor, predicted: torch.Tensor, centre: torch.Tensor) -> float:
        offset = centre if path.centred else None
        return float(to_residual(path, state, x, predicted, kind=loaded.prediction, centre=offset))

    return Residual(
        from_x=at(one, zero, zero),
        from_output=at(zero, one, zero),
        from_offset=at(one, zero, one) if path.centred else 0.0,
    )


def _move(path: Path, state: int, below: int, eta: float) -> Move:
    step = transition(path, state, below, eta=eta)
    return Move(keep=step.keep, add=step.add, spread=step.spread)
