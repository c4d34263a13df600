"""A diffusion denoiser as an upscaler."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.binary.esb import SUFFIX
from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.colour import find_colour_fix
from edgesr.diffusion.conditioned import ConditionedDenoiser, enlarge
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.path import respace, spaced_timesteps
from edgesr.diffusion.published import (
    PUBLISHED,
    STEPS,
    leading_path,
    published_path,
    sample_published,
)
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.samplers import find_sampler
from edgesr.diffusion.schedules import find_schedule
from edgesr.diffusion.tiles import TiledNetwork, halo_of, plan_tiles
from edgesr.errors import CheckpointError, DataError, DiffusionError
from edgesr.models.denoiser_files import LoadedDenoiser, Schedule, load_denoiser
from edgesr.upscalers.packed import load_packed

DEFAULT_SAMPLER = "ddim"


class DiffusionUpscaler:
    """Samples a denoiser in float32 on the CPU; the same image and seed give the same result.

    A large image takes every step in one piece, and the network sees it in windows. The frame
    itself, its noise and its centre are held whole: a few float32 images of the result's size.

    Args:
        path: ``.safetensors`` of a denoiser, the run folder that holds it, or an ``.esb``.
        model: denoiser, checked against the file's.
        scale: upscaling factor, checked against the file's.
        threads: CPU threads of the whole process; None leaves PyTorch's choice.
        steps: how many of the path's steps to take; None takes those that the file names.
        seed: of the noise.
        sampler: a name in ``SAMPLERS``; ``ddim`` is deterministic but for the start.
        colour_fix: a name in ``COLOUR_FIXES``; None leaves the colours as they are sampled.
        name: what results call it; None takes the path.

    Raises:
        CheckpointError: the file is missing, damaged, no denoiser, or of another scale.
        DiffusionError: more steps than the path has or the network was distilled to, or no such
            sampler or colour fix.
    """

    window: tuple[int, int] | None = None

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
        colour_fix: str | None = None,
        name: str | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        load = load_packed if path.suffix == SUFFIX else load_denoiser
        loaded = load(path, model=model, scale=scale)
        self._whole = path_of(loaded.schedule, loaded.path)
        self._path = sampling_path(loaded, steps)
        find_sampler(sampler)
        if self._whole.name == PUBLISHED and sampler != DEFAULT_SAMPLER:
            raise DiffusionError(
                f"{path}: has its authors' weights, which are sampled as they do, by "
                f"{DEFAULT_SAMPLER}; drop --sampler"
            )
        count = self._path.num_steps
        self.name = f"{name or path} ({count} step{'s' * (count != 1)})"
        self.scale = loaded.scale
        self.num_steps = self._path.num_steps
        self.halo = halo_of(loaded.descriptor)
        self._multiple = loaded.descriptor.multiple
        if path.suffix != SUFFIX and self._whole.name != PUBLISHED:
            # the order that convolutions on CPUs work in: same values, a tenth less time
            loaded.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network, self._centre = loaded.module, loaded.centre
        self._seed, self._sampler = seed, sampler
        self._fix = None if colour_fix is None else find_colour_fix(colour_fix)

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``, rounded half to even.

        Raises:
            DiffusionError: a value is not finite; it says at which step.
        """
        return self.in_tiles(lr, tile=0)

    def in_tiles(
        self,
        lr: NDArray[np.uint8],
        *,
        tile: int,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Do the same, the network seeing windows of at most ``tile`` pixels in every step.

        Args:
            lr: ``(h, w, 3)`` RGB uint8.
            tile: longest side of a window in low-resolution pixels, 0 for one piece.
            on_tile: called with the number of windows done in all steps and their total.

        Raises:
            DataError: ``tile`` is too small, or the network sees the whole image.
            DiffusionError: a value is not finite; it says at which step.
        """
        height, width = lr.shape[:2]
        longest = tile or max(height, width)
        if self.halo is None and longest < max(height, width):
            raise DataError(f"{self.name}: sees the whole image and cannot be tiled; use tile 0")
        tiles = plan_tiles(
            (height, width), tile=longest, multiple=self._multiple, halo=self.halo or 0
        )
        done, total = itertools.count(1), self.num_steps * len(tiles)

        def step_on() -> None:
            if on_tile is not None:
                on_tile(next(done), total)

        batch = from_grey_levels(torch.from_numpy(np.ascontiguousarray(lr)).permute(2, 0, 1)[None])
        if self._whole.name == PUBLISHED:
            noise = Noise(seed=self._seed)
            sampled = sample_published(
                self._network, batch, self._path, noise=noise, on_step=step_on
            )
        else:
            network = TiledNetwork(self._network, tiles, on_tile=step_on)
            regression = None if self._centre is None else RegressionCentre(self._centre, tile=tile)
            denoiser = ConditionedDenoiser(network, self._whole, regression=regression)
            sampled = denoiser.sample(
                batch, seed=self._seed, path=self._path, sampler=self._sampler
            )
        if self._fix is not None:
            sampled = self._fix(sampled, enlarge(batch, self.scale))
        levels = to_grey_levels(sampled)[0].round().to(torch.uint8)
        result: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().numpy()
        return result


def sampling_path(loaded: LoadedDenoiser, steps: int | None) -> DiffusionPath:
    """Return the path that a denoiser is sampled on.

    Args:
        loaded: the denoiser.
        steps: how many of its path's steps to take; None takes those that the file names.

    Raises:
        CheckpointError: the file's path cannot be made.
        DiffusionError: more steps than the path has or the network was distilled to.
    """
    whole = path_of(loaded.schedule, loaded.path)
    taken = _steps_of(loaded.schedule, loaded.path, steps)
    if whole.name == PUBLISHED:
        return leading_path(whole, taken or STEPS)
    return whole if taken is None else respace(whole, spaced_timesteps(whole, taken))


def _steps_of(schedule: Schedule, source: Path, asked: int | None) -> int | None:
    known = schedule.sampling_steps
    if schedule.is_distilled and asked not in (None, known):
        raise DiffusionError(
            f"{source}: {asked} steps, but the network is distilled and knows {known}; drop --steps"
        )
    return asked or known


def path_of(schedule: Schedule, source: Path) -> DiffusionPath:
    """Return the path that a weights file names.

    Raises:
        CheckpointError: its parameters are not those of the schedule.
        DiffusionError: there is no such schedule, or a parameter is out of range.
    """
    make = published_path if schedule.name == PUBLISHED else find_schedule(schedule.name)
    try:
        return make(**schedule.parameters)
    except TypeError as error:
        raise CheckpointError(
            f"{source}: schedule {schedule.name} cannot be made of {dict(schedule.parameters)} "
            f"({error}); train again"
        ) from error
