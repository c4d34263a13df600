"""What settings of a run say of a denoiser: its path, its steps, its style of one bit."""

import inspect

from edgesr.binary.style import StyleChoice
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.path import respace, spaced_timesteps
from edgesr.diffusion.schedules import find_schedule
from edgesr.models.denoiser_files import Schedule
from edgesr.train.config import TrainConfig


def style_of(config: TrainConfig) -> StyleChoice:
    """Return the style of one-bit convolutions that ``config`` asks for."""
    return StyleChoice(name=config.binary_style, groups=config.binary_groups)


def schedule_of(config: TrainConfig) -> Schedule:
    """Return the path's name and the parameters that it takes of ``config``."""
    known = inspect.signature(find_schedule(config.diffusion_path)).parameters
    given = {
        "num_steps": config.diffusion_steps,
        "kappa": config.kappa,
        "min_noise": config.min_noise,
        "power": config.shift_power,
    }
    return Schedule(
        name=config.diffusion_path,
        parameters={key: value for key, value in given.items() if key in known},
        sampling_steps=config.sampling_steps or None,
    )


def path_of(config: TrainConfig) -> DiffusionPath:
    """Return the path that ``config`` describes.

    Raises:
        DiffusionError: a parameter is out of range.
    """
    schedule = schedule_of(config)
    return find_schedule(schedule.name)(**schedule.parameters)


def sampled_path(config: TrainConfig) -> DiffusionPath:
    """Return the path that validation takes: all states, or ``config.sampling_steps`` of them.

    Raises:
        DiffusionError: more steps than the path has.
    """
    path = path_of(config)
    if not config.sampling_steps:
        return path
    return respace(path, spaced_timesteps(path, config.sampling_steps))
