"""``edgesr upscale``: photographs in, larger photographs out."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import CheckpointError, DataError, EdgesrError

if TYPE_CHECKING:
    from edgesr.upscalers.photos import Upscaled


def upscale(  # noqa: PLR0913 - one parameter a flag
    *inputs: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    model: Annotated[str | None, Parameter(name=["--model", "-n"])] = None,
    scale: Annotated[int | None, Parameter(name=["--scale", "-s"])] = None,
    tile: Annotated[int | None, Parameter(name=["--tile", "-t"], validator=Number(gte=0))] = None,
    suffix: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    ext: str = "png",
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    keep_grey: bool = True,
    steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    sampler: str = "ddim",
    colour_fix: str | None = None,
    threads: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Upscale photographs with a super-resolution network.

    Transparency, colour profile and EXIF are kept and the EXIF orientation is applied. When a
    file fails, the others are still done. An input is never overwritten.

    Args:
        inputs: image files, or folders of them.
        output: file for a single input, else a folder; default is beside each input.
        model: a model that `edgesr models` lists, `bicubic`, a .tflite, a weights file or a run
            folder; default is the INT8 NCNet that ships with edgesr.
        scale: upscaling factor; chooses among the shipped models when no --model is given.
        tile: longest side of a window in input pixels, 0 for one piece; does not change the
            result, only memory and time. Default is 256. A diffusion denoiser's windows are cut
            inside each step, and its result is the same but for float32 rounding.
        suffix: added to the file name; default is _x3 for factor 3.
        ext: format of made-up file names: png, webp, tif or jpg.
        overwrite: replace files that exist.
        keep_grey: write grey photographs as grey rather than RGB.
        steps: of a diffusion denoiser; default is what its file says, or all of its path. One
            step of a shipped one is taken by its one-step student.
        seed: of the noise of a diffusion denoiser; the same seed gives the same picture.
        sampler: of a diffusion denoiser: ddim, ancestral, dpm_solver_2m, sa_solver, mrs_ode or
            mrs_sde.
        colour_fix: of a diffusion denoiser: `mean_std` gives each channel the mean and spread of
            the bicubic enlargement, `low_pass` its coarse part; default is neither.
        threads: CPU threads; default is all.
        json: print one JSON document instead of a line for each file.
    """
    from edgesr.cli.console import out, say
    from edgesr.cli.sampling import say_student
    from edgesr.upscalers import load_upscaler
    from edgesr.upscalers.load import Sampling
    from edgesr.upscalers.photos import Naming, check_job, plan_jobs, upscale_file

    sampling = Sampling(steps=steps, seed=seed, sampler=sampler, colour_fix=colour_fix)
    chosen = model or _default_model(scale)
    say_student(chosen, steps)
    upscaler = load_upscaler(chosen, scale=scale, threads=threads, sampling=sampling)
    suffix = f"_x{upscaler.scale}" if suffix is None else suffix
    jobs = plan_jobs(inputs, Naming(output=output, suffix=suffix, ext=ext))
    done: list[Upscaled] = []
    failed: dict[Path, EdgesrError] = {}
    with _progress() as progress:
        for job in jobs:
            task = progress.add_task(job.source.name, total=None)
            try:
                check_job(job, jobs, overwrite=overwrite)
                result = upscale_file(
                    job,
                    upscaler,
                    tile=tile,
                    keep_grey=keep_grey,
                    on_tile=partial(_show, progress, task),
                )
            except EdgesrError as error:
                failed[job.source] = error
                if len(jobs) > 1:
                    say(f"error: {error}")
            else:
                done.append(result)
                if not json:
                    out.print(_line(result), markup=False, soft_wrap=True)
            progress.remove_task(task)
    if json:
        out.print_json(data=_document(upscaler.name, upscaler.scale, done, failed))
    if len(jobs) == 1 and failed:
        raise next(iter(failed.values()))
    if failed:
        names = ", ".join(map(str, failed))
        raise DataError(f"{len(failed)} of {len(jobs)} files failed: {names}")


def _default_model(scale: int | None) -> str:
    from edgesr.zoo import DEFAULT, DEFAULTS

    if scale is not None and scale not in DEFAULTS:
        shipped = ", ".join(f"x{one}" for one in DEFAULTS)
        raise CheckpointError(f"no x{scale} model is shipped, only {shipped}; give --model")
    return DEFAULT if scale is None else DEFAULTS[scale]


def _progress() -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from edgesr.cli.console import err

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _show(progress: Any, task: Any, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def _line(result: "Upscaled") -> str:
    (w, h), (big_w, big_h) = result.size_in, result.size_out
    paths = f"{result.job.source} -> {result.job.target}"
    return f"{paths}  {w}x{h} -> {big_w}x{big_h}  {result.seconds:.2f} s"


def _document(
    model: str, scale: int, done: "list[Upscaled]", failed: dict[Path, EdgesrError]
) -> dict[str, Any]:
    return {
        "schema": "edgesr/upscale/1",
        "model": model,
        "scale": scale,
        "files": [
            {
                "input": str(result.job.source),
                "output": str(result.job.target),
                "size_in": list(result.size_in),
                "size_out": list(result.size_out),
                "seconds": result.seconds,
            }
            for result in done
        ],
        "failed": [{"input": str(path), "error": str(error)} for path, error in failed.items()],
    }
