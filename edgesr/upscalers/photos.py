"""Upscale photographs from file to file: what goes where, and one file at a time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError, DiffusionError, ImageError, OutputError, UsageError
from edgesr.images import Picture, can_write, list_images, read_picture, write_picture
from edgesr.imresize import upscale_bicubic
from edgesr.upscalers.protocol import Upscaler, upscale_image

OnTile = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to upscale, and where to."""

    source: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How the files that are written are called.

    Attributes:
        output: file or folder; None writes beside each input.
        suffix: added to the stem, such as ``_x3``.
        ext: format of files whose name is made up, such as ``png``.
    """

    output: Path | None = None
    suffix: str
    ext: str = "png"


@dataclass(frozen=True, kw_only=True)
class Upscaled:
    """What became of one file; sizes are ``(width, height)``, ``seconds`` without file access."""

    job: Job
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    seconds: float


def plan_jobs(inputs: Sequence[Path], naming: Naming) -> list[Job]:
    """List the files to upscale; a folder stands for the images directly inside it.

    In a folder, files that this naming would write for other files there are taken for results of
    an earlier run and left out.

    Raises:
        UsageError: no input, or one output file for several inputs.
        ImageError: a folder holds no image.
    """
    if not inputs:
        raise UsageError("no input; name image files or folders")
    single = len(inputs) == 1 and not inputs[0].is_dir()
    output = naming.output
    names_file = output is not None and output.suffix != "" and not output.is_dir()
    if output is not None and names_file and single:
        return [Job(source=inputs[0], target=output)]
    if names_file:
        raise UsageError(f"{output}: is one file for several inputs; give a folder")
    jobs = []
    for entry in inputs:
        if not entry.is_dir():
            jobs.append(Job(source=entry, target=_target(entry, naming)))
            continue
        found = [Job(source=path, target=_target(path, naming)) for path in list_images(entry)]
        if not found:
            raise ImageError(f"{entry}: no images in this folder; check the path")
        made = {job.target for job in found if job.target != job.source}
        jobs += [job for job in found if job.source not in made]
    return jobs


def check_job(job: Job, jobs: Sequence[Job], *, overwrite: bool) -> None:
    """Refuse a job that would destroy an input, another job's result or, unasked, a file.

    Raises:
        ImageError: the format cannot be written.
        OutputError: the target is an input, is another job's target, or exists.
    """
    if not can_write(job.target, alpha=False):
        suffix = job.target.suffix
        raise ImageError(f"{job.target}: cannot write suffix {suffix!r}; use .png, .webp or .jpg")
    if any(_same_file(job.target, other.source) for other in jobs):
        raise OutputError(f"{job.target}: is an input and is not overwritten; choose another name")
    earlier = jobs[: jobs.index(job)]
    rival = next((other for other in earlier if other.target == job.target), None)
    if rival is not None:
        raise OutputError(
            f"{job.target}: already written for {rival.source}; upscale {job.source} apart with -o"
        )
    if job.target.exists() and not overwrite:
        raise OutputError(f"{job.target}: exists; pass --overwrite or choose another name")


def upscale_file(
    job: Job,
    upscaler: Upscaler,
    *,
    tile: int | None = None,
    keep_grey: bool = True,
    on_tile: OnTile | None = None,
) -> Upscaled:
    """Read, upscale and write one photograph; the target appears only when it is complete.

    Raises:
        ImageError: the source cannot be read, or the target's format has no transparency.
        OutputError: the target cannot be written.
        DataError: the image or ``tile`` does not fit the upscaler.
    """
    picture = read_picture(job.source)
    if picture.alpha is not None and not can_write(job.target, alpha=True):
        raise ImageError(
            f"{job.source}: has transparency, which {job.target.suffix} cannot hold; use --ext png"
        )
    start = time.perf_counter()
    try:
        result = upscale_picture(picture, upscaler, tile=tile, keep_grey=keep_grey, on_tile=on_tile)
    except (DataError, DiffusionError) as error:  # among many files, say which
        raise type(error)(f"{job.source}: {error}") from error
    seconds = time.perf_counter() - start
    write_picture(job.target, result)
    return Upscaled(job=job, size_in=_size(picture), size_out=_size(result), seconds=seconds)


def upscale_picture(
    picture: Picture,
    upscaler: Upscaler,
    *,
    tile: int | None = None,
    keep_grey: bool = True,
    on_tile: OnTile | None = None,
) -> Picture:
    """Upscale colours by ``upscaler`` and opacity by bicubic interpolation; metadata is kept.

    Args:
        picture: the photograph.
        upscaler: what makes the colours.
        tile: see ``upscale_image``.
        keep_grey: a grey photograph stays grey: the three channels are averaged.
        on_tile: called with the number of windows done and their total after each.

    Raises:
        DataError: the image or ``tile`` does not fit the upscaler.
    """
    rgb = upscale_image(upscaler, picture.rgb, tile=tile, on_tile=on_tile)
    grey = picture.grey and keep_grey
    alpha = None if picture.alpha is None else upscale_bicubic(picture.alpha, upscaler.scale)
    return replace(picture, rgb=_average(rgb) if grey else rgb, alpha=alpha, grey=grey)


def _average(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    total = rgb.sum(axis=-1, keepdims=True, dtype=np.uint16)
    return np.broadcast_to(((total + 1) // 3).astype(np.uint8), rgb.shape)


def _size(picture: Picture) -> tuple[int, int]:
    return picture.rgb.shape[1], picture.rgb.shape[0]


def _target(source: Path, naming: Naming) -> Path:
    folder = source.parent if naming.output is None else naming.output
    return folder / f"{source.stem}{naming.suffix}.{naming.ext.lstrip('.')}"


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False
