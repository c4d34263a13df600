"""All samplers by name, with one signature."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from edgesr.diffusion.dpm_solver import dpm_solver_2m
from edgesr.diffusion.first_order import ancestral, ddim
from edgesr.diffusion.mrs import mrs
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.sa_solver import sa_solver
from edgesr.diffusion.task import Task
from edgesr.errors import DiffusionError

Sampler = Callable[[Task, Tensor, Noise], Tensor]
"""Maps a task, a start and noise to the clean image; deterministic ones do not draw."""

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "ancestral": lambda task, start, noise: ancestral(task, start, noise=noise),
        "ddim": lambda task, start, _: ddim(task, start),
        "dpm_solver_2m": lambda task, start, _: dpm_solver_2m(task, start),
        "sa_solver": lambda task, start, noise: sa_solver(task, start, noise=noise),
        "mrs_ode": lambda task, start, _: mrs(task, start, equation="ode"),
        "mrs_sde": lambda task, start, noise: mrs(task, start, equation="sde", noise=noise),
    }
)


def find_sampler(name: str) -> Sampler:
    """Return a sampler with its usual settings.

    Raises:
        DiffusionError: no such sampler.
    """
    if name not in SAMPLERS:
        raise DiffusionError(f"sampler {name!r} is not known, want one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name]
