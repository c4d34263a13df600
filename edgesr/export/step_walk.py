"""Whole trajectories on held-out images: of a file of steps, of its simulation, and in float."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.diffusion.centre import regression_of
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.export.calibration import ImageChoice, held_out_pair
from edgesr.export.step_parity import trajectory
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.upscalers.step_schedule import StepSchedule
from edgesr.upscalers.stepwise import Evaluate

WALKED_IMAGES = 4
"""Of the held-out ones; a trajectory takes many runs."""
WALKED_SIDE = 96
"""They are cut to this many low-resolution pixels a side, round the middle."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Walker:
    """A file or its simulation, as what upscales one image.

    Attributes:
        schedule: of the file.
        evaluate: runs one of its signatures.
        seed: of the noise.
    """

    schedule: StepSchedule
    evaluate: Evaluate
    seed: int

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self.schedule.scale

    def upscale(self, lr: Picture) -> Picture:
        """Map ``(h, w, 3)`` RGB uint8 to ``(s h, s w, 3)`` by the sampler ``ddim``."""
        return trajectory(lr, self.schedule, self.evaluate, seed=self.seed)[0]


def float_walk(
    loaded: LoadedDenoiser, whole: DiffusionPath, path: DiffusionPath, *, seed: int
) -> Callable[[Picture], NDArray[np.float32]]:
    """Return the float denoiser as a function of one image, in [0, 255] and not rounded.

    Args:
        loaded: float denoiser.
        whole: path that it was trained on.
        path: that is sampled.
        seed: of the noise.
    """
    regression = regression_of(loaded.centre)

    def run(lr: Picture) -> NDArray[np.float32]:
        batch = from_grey_levels(torch.from_numpy(lr).permute(2, 0, 1)[None])
        denoiser = ConditionedDenoiser(loaded.module, whole, regression=regression)
        sampled = denoiser.sample(batch, seed=seed, path=path)
        result: NDArray[np.float32] = to_grey_levels(sampled)[0].permute(1, 2, 0).numpy()
        return result

    return run


def held_out_images(choice: ImageChoice, scale: int) -> list[tuple[Picture, Picture]]:
    """Read the first held-out images, LR and HR, and cut out their middles.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: LR and HR do not match.
    """
    return [_middle(*held_out_pair(pair, scale), scale) for pair in choice.held_out[:WALKED_IMAGES]]


def _middle(lr: Picture, hr: Picture, scale: int) -> tuple[Picture, Picture]:
    sizes = [min(side, WALKED_SIDE) for side in lr.shape[:2]]
    starts = [(side - size) // 2 for side, size in zip(lr.shape[:2], sizes, strict=True)]
    small = tuple(slice(at, at + size) for at, size in zip(starts, sizes, strict=True))
    large = tuple(slice(scale * one.start, scale * one.stop) for one in small)
    return np.ascontiguousarray(lr[small]), np.ascontiguousarray(hr[large])
