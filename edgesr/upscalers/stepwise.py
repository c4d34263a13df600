"""A .tflite file whose signatures are the steps of a denoiser, as an upscaler; without PyTorch."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.diffusion.plane import frame_noise
from edgesr.errors import CheckpointError, DataError, UsageError
from edgesr.litert import IoGrid, SignatureModel, open_signatures
from edgesr.tiling import Tile, plan_tiles
from edgesr.upscalers.step_loop import Run, sample
from edgesr.upscalers.step_schedule import (
    CENTRE,
    ScheduledCentre,
    StepSchedule,
    read_schedule,
)
from edgesr.upscalers.tflite import usable_cpus

Evaluate = Callable[[str, Mapping[str, NDArray[Any]]], NDArray[Any]]
"""Runs a signature on batches of one, ``(1, h, w, 3)`` by input, whose sizes need no padding."""

_SMALLEST = "lr"


class StepwiseUpscaler:
    """Samples with a .tflite file; the same image and seed give the same result.

    A large image takes every step in one piece, and the file sees it in windows; the result of an
    int8 file does not depend on them.

    Args:
        path: the file.
        scale: upscaling factor that is expected of it; None takes the file's.
        threads: CPU threads; None takes all that this process may use.
        steps: number of steps that is expected of it; None takes the file's.
        seed: of the noise, the same as of the denoiser that was exported.
        sampler: ``ddim`` or ``ancestral``.

    Raises:
        CheckpointError: the file is missing, damaged, without schedule, lacks the signature of a
            step or of the centre, or is of another scale or number of steps.
        UsageError: the file has no moves for the sampler.
        MissingDependencyError: no LiteRT is installed.
    """

    window: tuple[int, int] | None = None

    def __init__(  # noqa: PLR0913 - one choice each
        self,
        path: Path,
        *,
        scale: int | None = None,
        threads: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        sampler: str = "ddim",
    ) -> None:
        schedule = read_schedule(path)
        if schedule is None:
            raise CheckpointError(
                f"{path}: has no schedule, inside or as .schedule.json beside it; export it again"
            )
        self._file = open_signatures(path, threads=threads or usable_cpus())
        check_fits(self._file, schedule)
        if scale is not None and scale != schedule.scale:
            raise CheckpointError(
                f"{path}: upscales x{schedule.scale}, but x{scale} was asked for; "
                "drop --scale or choose another file"
            )
        if steps is not None and steps != len(schedule.steps):
            raise CheckpointError(
                f"{path}: has signatures for {len(schedule.steps)} steps, but {steps} were asked "
                f"for; drop --steps or export with --steps {steps}"
            )
        if sampler not in schedule.samplers:
            raise UsageError(
                f"{path}: has no moves for sampler {sampler}, want one of "
                f"{', '.join(schedule.samplers)}"
            )
        self.name = f"{path} ({len(schedule.steps)} steps)"
        self.scale, self.num_steps, self.halo = schedule.scale, len(schedule.steps), schedule.halo
        self._schedule, self._seed, self._sampler = schedule, seed, sampler
        self._fixed = self._file.fixed_shapes(schedule.steps[0].signature).get(_SMALLEST)

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``, rounded half to even.

        Raises:
            DataError: the file accepts one size only and this is another, or the image is too
                small to be padded.
        """
        return self.in_tiles(lr, tile=0)

    def in_tiles(
        self,
        lr: NDArray[np.uint8],
        *,
        tile: int,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Do the same, the file seeing windows of at most ``tile`` pixels in every step.

        Args:
            lr: ``(h, w, 3)`` RGB uint8.
            tile: longest side of a window in low-resolution pixels, 0 for one piece.
            on_tile: called with the number of windows done, of the centre's network and in all
                steps, and their total.

        Raises:
            DataError: ``tile`` is too small, or as for a call.
        """
        size = (lr.shape[0], lr.shape[1])
        if self._fixed is not None:
            if size != self._fixed:
                (h, w), (high, wide) = size, self._fixed
                raise DataError(
                    f"{self.name}: image is {h} high and {w} wide, want {high} and {wide}; this "
                    "file accepts one size only, export without --shape for every size"
                )
            tile = 0
        tiles = tiles_of(size, self._schedule, tile=tile)
        done, total = itertools.count(1), sum(map(len, tiles.values()))

        def step_on() -> None:
            if on_tile is not None:
                on_tile(next(done), total)

        run = windowed(self._file.run, self._schedule, tiles, on_tile=step_on)
        draw = partial(frame_noise, self._seed)
        levels = sample(lr, self._schedule, run, draw, sampler=self._sampler)
        if not np.isfinite(levels).all():
            raise DataError(
                f"{self.name}: its output holds NaN or infinity; the file is damaged, export it "
                "again"
            )
        return np.rint(levels).astype(np.uint8)


def check_fits(file: SignatureModel, schedule: StepSchedule) -> None:
    """Check that a file has what a schedule names, on its grids: every step, and the centre.

    Raises:
        CheckpointError: names the step, or the centre.
    """
    if schedule.centre is not None:
        _check_centre(file, schedule, schedule.centre)
    for step in schedule.steps:
        if step.signature not in file.signatures:
            raise CheckpointError(
                f"{file.name}: timestep {step.timestep} has no signature {step.signature!r}, the "
                f"file has {', '.join(file.signatures)}; export it again with this step"
            )
        grid = file.output_grid(step.signature)
        if (grid.dtype.name, grid.scale, grid.zero_point) != (
            schedule.io,
            step.output.scale,
            step.output.zero_point,
        ):
            raise CheckpointError(
                f"{file.name}: the output of signature {step.signature} is {grid.dtype.name} on "
                f"scale {grid.scale:g}, zero point {grid.zero_point}, the schedule says "
                f"{schedule.io}, {step.output.scale:g} and {step.output.zero_point}; it is "
                "another file's, export again"
            )


def _check_centre(file: SignatureModel, schedule: StepSchedule, centre: ScheduledCentre) -> None:
    name = centre.signature
    if name not in file.signatures:
        raise CheckpointError(
            f"{file.name}: its schedule takes the centre from signature {name!r}, the file has "
            f"{', '.join(file.signatures)}; export it again"
        )
    grids = file.input_grids(name)
    found = {*((key, grid) for key, grid in grids.items()), (CENTRE, file.output_grid(name))}
    wanted = IoGrid(dtype=np.dtype(schedule.io), scale=1.0, zero_point=centre.zero_point)
    if found != {(_SMALLEST, wanted), (CENTRE, wanted)}:
        listed = ", ".join(
            f"{key} {grid.dtype.name} on scale {grid.scale:g}, zero point {grid.zero_point}"
            for key, grid in sorted(found, key=lambda one: one[0])
        )
        raise CheckpointError(
            f"{file.name}: signature {name} has {listed}, the schedule says {_SMALLEST} and an "
            f"output of {schedule.io} on scale 1, zero point {centre.zero_point}; it is another "
            "file's, export again"
        )
    higher, wider = file.enlargement(name)
    if (higher, wider) != (schedule.scale, schedule.scale):
        raise CheckpointError(
            f"{file.name}: signature {name} enlarges {higher:g} times in height and {wider:g} in "
            f"width, the schedule is for x{schedule.scale}; export it again"
        )


def tiles_of(size: tuple[int, int], schedule: StepSchedule, *, tile: int) -> dict[str, list[Tile]]:
    """Return the windows of an image of ``(h, w)`` by signature; one each for ``tile`` 0.

    Raises:
        DataError: the tile is too small, or the network sees the whole image.
    """
    longest = tile or max(size)
    if schedule.halo is None and longest < max(size):
        raise DataError("the network sees the whole image and cannot be tiled; use tile 0")
    halo = schedule.halo or 0
    tiles = plan_tiles(size, tile=longest, multiple=schedule.multiple, halo=halo)
    found = {step.signature: tiles for step in schedule.steps}
    if schedule.centre is not None:
        reach = schedule.centre.halo
        found[schedule.centre.signature] = plan_tiles(size, tile=longest, multiple=1, halo=reach)
    return found


def windowed(
    evaluate: Evaluate,
    schedule: StepSchedule,
    tiles: Mapping[str, Sequence[Tile]],
    *,
    on_tile: Callable[[], None] | None = None,
) -> Run:
    """Return what runs a signature on whole images, window by window.

    Sides that are no multiple of the steps' are padded by reflection of low-resolution pixels,
    whose blocks of the enlarged images stay as they are. The centre's network needs no multiple.
    """
    scale, centre = schedule.scale, schedule.centre

    def run(signature: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        joined: NDArray[Any] | None = None
        is_centre = centre is not None and signature == centre.signature
        multiple = 1 if is_centre else schedule.multiple
        high, wide, channels = inputs[_SMALLEST].shape
        for tile in tiles[signature]:
            size = (tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
            window = {}
            for name, image in inputs.items():
                factor = 1 if name == _SMALLEST else scale
                rows, columns = (span.enlarged(factor) for span in (tile.rows, tile.columns))
                part = image[rows.read, columns.read]
                window[name] = _padded(part, size, factor, multiple)[None]
            output = evaluate(signature, window)[0]
            rows, columns = (span.enlarged(scale) for span in (tile.rows, tile.columns))
            if joined is None:
                joined = np.empty((scale * high, scale * wide, channels), output.dtype)
            joined[rows.kept, columns.kept] = output[rows.inner, columns.inner]
            if on_tile is not None:
                on_tile()
        if joined is None:
            raise DataError("no window to run; give an image of one pixel at least")
        return joined

    return run


def _padded(image: NDArray[Any], size: tuple[int, int], factor: int, multiple: int) -> NDArray[Any]:
    """Pad an image that is ``factor`` times ``size`` at the bottom and right."""
    if size[0] % multiple == size[1] % multiple == 0:
        return np.ascontiguousarray(image)
    if any(-side % multiple >= side for side in size):
        raise DataError(
            f"an image of {size[1]}x{size[0]} pixels is too small: its sides are padded to "
            f"multiples of {multiple} by reflection, which wants at least {multiple // 2 + 1} "
            "pixels; give a larger one"
        )
    for axis, side in enumerate(size):
        pixels = np.pad(np.arange(side), (0, -side % multiple), mode="reflect")
        image = image.take((factor * pixels[:, None] + np.arange(factor)).ravel(), axis=axis)
    return image
