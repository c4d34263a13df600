"""Find the upscaler that a name or path stands for."""

from dataclasses import dataclass
from pathlib import Path

from edgesr.errors import CheckpointError, MissingDependencyError, UsageError
from edgesr.upscalers.bicubic import BicubicUpscaler
from edgesr.upscalers.protocol import Upscaler
from edgesr.upscalers.step_schedule import read_schedule
from edgesr.zoo import ZOO
from edgesr.zoo.find import find_entry


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a diffusion denoiser is sampled.

    Attributes:
        steps: how many of its path's steps to take; None takes those that its file names, or all.
        seed: of the noise.
        sampler: a name in ``edgesr.diffusion.samplers.SAMPLERS``.
        colour_fix: a name in ``edgesr.diffusion.colour.COLOUR_FIXES``; None leaves the colours.
    """

    steps: int | None = None
    seed: int = 0
    sampler: str = "ddim"
    colour_fix: str | None = None


FULL = Sampling()
_PACKED = ".esb"


def load_upscaler(
    source: str | Path,
    *,
    scale: int | None = None,
    model: str | None = None,
    threads: int | None = None,
    sampling: Sampling = FULL,
) -> Upscaler:
    """Load an upscaler.

    One step of a shipped denoiser is taken by its one-step student, where its card names one.

    Args:
        source: a name in ``ZOO`` or of a pulled network, ``bicubic``, a ``.tflite``,
            ``.safetensors`` or ``.pth`` file, or a run folder.
        scale: upscaling factor; needed for ``bicubic`` and for a ``.pth``, checked elsewhere.
        model: network of a ``.pth``; ignored by what names its own.
        threads: CPU threads; None leaves the choice to the runtime.
        sampling: of a diffusion denoiser; the others have nothing to sample.

    Raises:
        CheckpointError: there is no such name or file, or it is damaged or of another scale.
        UsageError: ``bicubic`` without a scale, or sampling asked of what is no denoiser.
        DiffusionError: more steps than the denoiser's path has, or no such sampler or colour fix.
        MissingDependencyError: the package that runs it is not installed.
    """
    if str(source) == "bicubic":
        if scale is None:
            raise UsageError("bicubic has no scale of its own; give --scale")
        _refuse_sampling(source, sampling)
        return BicubicUpscaler(scale=scale)
    entry = find_entry(source, steps=sampling.steps)
    path = Path(source) if entry is None else entry.intact(entry.runs)
    if not path.exists():
        known = ", ".join(["bicubic", *ZOO])
        raise CheckpointError(f"{source}: no such model or file; name one of {known} or a file")
    name = None if entry is None else entry.name
    if path.suffix == ".tflite":
        return _tflite(path, name=name, scale=scale, threads=threads, sampling=sampling)
    if path.is_dir() or path.suffix in {".safetensors", ".pth", _PACKED}:
        options = _Options(name=name, model=model, scale=scale, threads=threads)
        return _network(path, options, sampling)
    wanted = "a run folder, .tflite, .esb, .safetensors or .pth"
    raise CheckpointError(f"{path}: is no model file, want {wanted}")


def is_sampled(source: str | Path) -> bool:
    """Tell whether a source is a diffusion denoiser, or a file of its steps.

    Raises:
        CheckpointError: it is a damaged file, or a folder without weights.
    """
    entry = find_entry(source)
    if entry is not None:
        return entry.is_denoiser
    path = Path(source)
    if path.is_file() and path.suffix == ".tflite":
        return read_schedule(path) is not None
    if path.suffix == _PACKED:
        return True
    if not (path.is_dir() or (path.is_file() and path.suffix == ".safetensors")):
        return False
    try:
        from edgesr.models.checkpoint import is_denoiser
    except ImportError:  # without PyTorch nothing is sampled, and loading says what is missing
        return False
    return is_denoiser(path)


def _tflite(
    path: Path,
    *,
    name: str | None,
    scale: int | None,
    threads: int | None,
    sampling: Sampling,
) -> Upscaler:
    if read_schedule(path) is None:
        _refuse_sampling(path, sampling)
        from edgesr.upscalers.tflite import TfliteUpscaler

        return TfliteUpscaler(path, scale=scale, threads=threads, name=name)
    if sampling.colour_fix is not None:
        raise UsageError(
            f"{path}: --colour-fix is for denoisers that PyTorch runs, not for a .tflite; drop it"
        )
    from edgesr.upscalers.stepwise import StepwiseUpscaler

    return StepwiseUpscaler(
        path,
        scale=scale,
        threads=threads,
        steps=sampling.steps,
        seed=sampling.seed,
        sampler=sampling.sampler,
    )


@dataclass(frozen=True, kw_only=True)
class _Options:
    name: str | None
    model: str | None
    scale: int | None
    threads: int | None


def _network(path: Path, options: _Options, sampling: Sampling) -> Upscaler:
    model, scale, threads = options.model, options.scale, options.threads
    try:
        from edgesr.models.checkpoint import holds_integers, is_denoiser
        from edgesr.upscalers.diffusion import DiffusionUpscaler
        from edgesr.upscalers.network import TorchUpscaler
        from edgesr.upscalers.simulated import SimulatedUpscaler
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: running a checkpoint needs {error.name}; install edgesr[train] or export it"
        ) from error
    if path.suffix == _PACKED or is_denoiser(path):
        return DiffusionUpscaler(
            path,
            model=model,
            scale=scale,
            threads=threads,
            steps=sampling.steps,
            seed=sampling.seed,
            sampler=sampling.sampler,
            colour_fix=sampling.colour_fix,
            name=options.name,
        )
    _refuse_sampling(path, sampling)
    if holds_integers(path):
        return SimulatedUpscaler(path, model=model, scale=scale, threads=threads)
    return TorchUpscaler(path, model=model, scale=scale, threads=threads)


def _refuse_sampling(source: str | Path, sampling: Sampling) -> None:
    if sampling.steps is not None:
        raise UsageError(f"{source}: is no diffusion denoiser and has no steps; drop --steps")
    for field in ("seed", "sampler", "colour_fix"):
        if getattr(sampling, field) != getattr(FULL, field):
            flag = field.replace("_", "-")
            raise UsageError(f"{source}: is no diffusion denoiser; drop --{flag}")
