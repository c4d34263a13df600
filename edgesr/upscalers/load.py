"""Find the upscaler that a name or path stands for."""

from dataclasses import dataclass
from pathlib import Path

from edgesr.errors import CheckpointError, MissingDependencyError, UsageError
from edgesr.upscalers.bicubic import BicubicUpscaler
from edgesr.upscalers.protocol import Upscaler
from edgesr.zoo import ZOO


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a diffusion denoiser is sampled.

    Attributes:
        steps: how many of its path's steps to take; None takes all.
        seed: of the noise.
        sampler: a name in ``edgesr.diffusion.samplers.SAMPLERS``.
        colour_fix: a name in ``edgesr.diffusion.colour.COLOUR_FIXES``; None leaves the colours.
    """

    steps: int | None = None
    seed: int = 0
    sampler: str = "ddim"
    colour_fix: str | None = None


FULL = Sampling()


def load_upscaler(
    source: str | Path,
    *,
    scale: int | None = None,
    model: str | None = None,
    threads: int | None = None,
    sampling: Sampling = FULL,
) -> Upscaler:
    """Load an upscaler.

    Args:
        source: a name in ``ZOO``, ``bicubic``, a ``.tflite``, ``.safetensors`` or ``.pth`` file,
            or a run folder.
        scale: upscaling factor; needed for ``bicubic`` and for a ``.pth``, checked elsewhere.
        model: network of a ``.pth``; ignored by what names its own.
        threads: CPU threads; None leaves the choice to the runtime.
        sampling: of a diffusion denoiser; the others have nothing to sample.

    Raises:
        CheckpointError: there is no such name or file, or it is damaged or of another scale.
        UsageError: ``bicubic`` without a scale, or steps or a colour fix for what is no denoiser.
        DiffusionError: more steps than the denoiser's path has, or no such sampler or colour fix.
        MissingDependencyError: the package that runs it is not installed.
    """
    if str(source) == "bicubic":
        if scale is None:
            raise UsageError("bicubic has no scale of its own; give --scale")
        return BicubicUpscaler(scale=scale)
    entry = ZOO.get(str(source))
    path = Path(source) if entry is None else entry.tflite
    if not path.exists():
        known = ", ".join(["bicubic", *ZOO])
        raise CheckpointError(f"{source}: no such model or file; name one of {known} or a file")
    if path.suffix == ".tflite":
        _refuse_sampling(path, sampling)
        from edgesr.upscalers.tflite import TfliteUpscaler

        name = None if entry is None else entry.name
        return TfliteUpscaler(path, scale=scale, threads=threads, name=name)
    if path.is_dir() or path.suffix in {".safetensors", ".pth"}:
        return _network(path, model=model, scale=scale, threads=threads, sampling=sampling)
    wanted = "a run folder, .tflite, .safetensors or .pth"
    raise CheckpointError(f"{path}: is no model file, want {wanted}")


def is_sampled(source: str | Path) -> bool:
    """Tell whether a source is a diffusion denoiser, which ``sampling`` is for.

    Raises:
        CheckpointError: it is a damaged file, or a folder without weights.
    """
    path = Path(source)
    if not (path.is_dir() or (path.is_file() and path.suffix == ".safetensors")):
        return False
    try:
        from edgesr.models.checkpoint import is_denoiser
    except ImportError:  # without PyTorch nothing is sampled, and loading says what is missing
        return False
    return is_denoiser(path)


def _network(
    path: Path, *, model: str | None, scale: int | None, threads: int | None, sampling: Sampling
) -> Upscaler:
    try:
        from edgesr.models.checkpoint import holds_integers, is_denoiser
        from edgesr.upscalers.diffusion import DiffusionUpscaler
        from edgesr.upscalers.network import TorchUpscaler
        from edgesr.upscalers.simulated import SimulatedUpscaler
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: running a checkpoint needs {error.name}; install edgesr[train] or export it"
        ) from error
    if is_denoiser(path):
        return DiffusionUpscaler(
            path,
            model=model,
            scale=scale,
            threads=threads,
            steps=sampling.steps,
            seed=sampling.seed,
            sampler=sampling.sampler,
            colour_fix=sampling.colour_fix,
        )
    _refuse_sampling(path, sampling)
    if holds_integers(path):
        return SimulatedUpscaler(path, model=model, scale=scale, threads=threads)
    return TorchUpscaler(path, model=model, scale=scale, threads=threads)


def _refuse_sampling(path: Path, sampling: Sampling) -> None:
    if sampling.steps is not None:
        raise UsageError(f"{path}: is no diffusion denoiser and has no steps; drop --steps")
    if sampling.colour_fix is not None:
        raise UsageError(f"{path}: is no diffusion denoiser; drop --colour-fix")
