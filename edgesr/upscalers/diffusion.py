"""A diffusion denoiser as an upscaler."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.path import respace, spaced_timesteps
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.samplers import find_sampler
from edgesr.diffusion.schedules import find_schedule
from edgesr.errors import CheckpointError, DiffusionError
from edgesr.models.denoiser_files import Schedule, load_denoiser

DEFAULT_SAMPLER = "ddim"


class DiffusionUpscaler:
    """Samples a denoiser in float32 on the CPU; the same image and seed give the same result.

    An image is enlarged in one piece: every step sees further, so a tile would need a border of the
    network's reach for each of them.

    Args:
        path: ``.safetensors`` of a denoiser, or the run folder that holds it.
        model: denoiser, checked against the file's.
        scale: upscaling factor, checked against the file's.
        threads: CPU threads of the whole process; None leaves PyTorch's choice.
        steps: how many of the path's steps to take; None takes all, or the one step
            that a distilled network knows.
        seed: of the noise.
        sampler: a name in ``SAMPLERS``; ``ddim`` is deterministic but for the start.

    Raises:
        CheckpointError: the file is missing, damaged, no denoiser, or of another scale.
        DiffusionError: more steps than the path has or the network was distilled to, or no such
            sampler.
    """

    window: tuple[int, int] | None = None
    halo: int | None = None

    def __init__(  # noqa: PLR0913 - one choice each
        self,
        path: Path,
        *,
        model: str | None = None,
        scale: int | None = None,
        threads: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        sampler: str = DEFAULT_SAMPLER,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        loaded = load_denoiser(path, model=model, scale=scale)
        whole = path_of(loaded.schedule, loaded.path)
        steps = _steps_of(loaded.schedule, loaded.path, steps)
        self._path = whole if steps is None else respace(whole, spaced_timesteps(whole, steps))
        find_sampler(sampler)
        self.name = f"{path} ({self._path.num_steps} steps)"
        self.scale = loaded.scale
        self._denoiser = ConditionedDenoiser(loaded.module, whole)
        self._seed, self._sampler = seed, sampler

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``, rounded half to even.

        Raises:
            DiffusionError: a value is not finite; it says at which step.
        """
        batch = torch.from_numpy(np.ascontiguousarray(lr)).permute(2, 0, 1)[None]
        sampled = self._denoiser.sample(
            from_grey_levels(batch), seed=self._seed, path=self._path, sampler=self._sampler
        )
        levels = to_grey_levels(sampled)[0].round().to(torch.uint8)
        result: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().numpy()
        return result


def _steps_of(schedule: Schedule, source: Path, asked: int | None) -> int | None:
    known = schedule.sampling_steps
    if known is not None and asked not in (None, known):
        raise DiffusionError(
            f"{source}: {asked} steps, but the network is distilled and knows {known}; drop --steps"
        )
    return known or asked


def path_of(schedule: Schedule, source: Path) -> DiffusionPath:
    """Return the path that a weights file names.

    Raises:
        CheckpointError: its parameters are not those of the schedule.
        DiffusionError: there is no such schedule, or a parameter is out of range.
    """
    try:
        return find_schedule(schedule.name)(**schedule.parameters)
    except TypeError as error:
        raise CheckpointError(
            f"{source}: schedule {schedule.name} cannot be made of {dict(schedule.parameters)} "
            f"({error}); train again"
        ) from error
