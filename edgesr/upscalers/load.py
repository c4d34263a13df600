"""Find the upscaler that a name or path stands for."""

from pathlib import Path

from edgesr.errors import CheckpointError, MissingDependencyError, UsageError
from edgesr.upscalers.bicubic import BicubicUpscaler
from edgesr.upscalers.protocol import Upscaler
from edgesr.zoo import ZOO


def load_upscaler(
    source: str | Path,
    *,
    scale: int | None = None,
    model: str | None = None,
    threads: int | None = None,
) -> Upscaler:
    """Load an upscaler.

    Args:
        source: a name in ``ZOO``, ``bicubic``, a ``.tflite``, ``.safetensors`` or ``.pth`` file,
            or a run folder.
        scale: upscaling factor; needed for ``bicubic`` and for a ``.pth``, checked elsewhere.
        model: network of a ``.pth``; ignored by what names its own.
        threads: CPU threads; None leaves the choice to the runtime.

    Raises:
        CheckpointError: there is no such name or file, or it is damaged or of another scale.
        UsageError: ``bicubic`` without a scale.
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
        from edgesr.upscalers.tflite import TfliteUpscaler

        name = None if entry is None else entry.name
        return TfliteUpscaler(path, scale=scale, threads=threads, name=name)
    if path.is_dir() or path.suffix in {".safetensors", ".pth"}:
        return _network(path, model=model, scale=scale, threads=threads)
    wanted = "a run folder, .tflite, .safetensors or .pth"
    raise CheckpointError(f"{path}: is no model file, want {wanted}")


def _network(path: Path, *, model: str | None, scale: int | None, threads: int | None) -> Upscaler:
    try:
        from edgesr.models.checkpoint import holds_integers
        from edgesr.upscalers.network import TorchUpscaler
        from edgesr.upscalers.simulated import SimulatedUpscaler
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: running a checkpoint needs {error.name}; install edgesr[train] or export it"
        ) from error
    if holds_integers(path):
        return SimulatedUpscaler(path, model=model, scale=scale, threads=threads)
    return TorchUpscaler(path, model=model, scale=scale, threads=threads)
