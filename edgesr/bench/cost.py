"""What a network costs before it is run: parameters, MACs by named counters, memory.

``complexity`` takes whatever names a network: a module, what builds one, weights, a run folder, a
.tflite file, a shipped model or a name in ``MODELS`` or ``REFERENCE_NETS``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from edgesr.bench.cost_types import COUNTERS, Complexity, OperatorCost
from edgesr.errors import CheckpointError, ConfigError
from edgesr.models import MODELS, build_model
from edgesr.models.reference import REFERENCE_NETS, build_reference
from edgesr.zoo import ZOO
from edgesr.zoo.find import find_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["COUNTERS", "DEFAULT_SHAPE", "Complexity", "OperatorCost", "complexity"]

DEFAULT_SHAPE = (256, 256)
"""Height and width of the low-resolution image in the NTIRE challenges."""

_USUAL_SCALE = 3


def complexity(
    source: "Path | str | nn.Module | Callable[[], nn.Module]",
    *,
    shape: tuple[int, int] | None = None,
    model: str | None = None,
    scale: int | None = None,
    channels: int = 3,
) -> Complexity:
    """Count what a network does for one low-resolution image.

    Args:
        source: what names or makes the network.
        shape: ``(h, w)`` of the image; default is a .tflite's fixed size or 256 x 256.
        model: network of a weights file that does not name it.
        scale: upscaling factor of such a file or of a network given by name; by name the default
            is the published one, or 3.
        channels: of the image that a module takes; named networks and files take RGB.

    Raises:
        CheckpointError: the file is missing or damaged.
        ConfigError: no such network, or not for this factor.
        DataError: a .tflite is of another fixed size or factor.
        GraphError: the network does not run on such an image.
        MissingDependencyError: the package that reads such a file is not installed.
    """
    if not isinstance(source, (str, Path)):
        from edgesr.bench.cost_torch import torch_complexity

        return torch_complexity(source, shape=shape or DEFAULT_SHAPE, channels=channels)
    name = str(source)
    if (entry := find_entry(name)) is not None:
        return _tflite(entry.intact(entry.tflite), shape, scale, name)
    if name in MODELS or name in REFERENCE_NETS:
        return _named(name, shape or DEFAULT_SHAPE, scale)
    path = Path(source)
    if not path.exists():
        known = ", ".join([*ZOO, *MODELS, *REFERENCE_NETS])
        raise CheckpointError(f"{path}: no such file or network; name a file or one of {known}")
    if path.suffix == ".tflite":
        return _tflite(path, shape, scale, name)
    if path.is_dir() or path.suffix in {".safetensors", ".pth"}:
        return _weights(path, shape or DEFAULT_SHAPE, model, scale)
    wanted = "a run folder, .tflite, .safetensors or .pth"
    raise CheckpointError(f"{path}: is no model file, want {wanted}")


def _named(name: str, shape: tuple[int, int], scale: int | None) -> Complexity:
    from edgesr.bench.cost_torch import torch_complexity

    if name in MODELS:
        scales = MODELS[name].scales
        factor = scale or (_USUAL_SCALE if _USUAL_SCALE in scales else scales[0])
        label, build = f"{name} x{factor}", lambda: build_model(name, factor)
    else:
        factor = REFERENCE_NETS[name].scale if scale is None else scale
        label, build = f"{name} x{factor}", lambda: build_reference(name, factor)
    return torch_complexity(build, shape=shape, name=label)


def _weights(
    path: Path, shape: tuple[int, int], model: str | None, scale: int | None
) -> Complexity:
    from edgesr.bench.cost_torch import torch_complexity
    from edgesr.models.checkpoint import load_model

    loaded = load_model(path, model=model, scale=scale)
    size = loaded.path.stat().st_size
    return torch_complexity(loaded.module, shape=shape, name=str(path), stored_bytes=size)


def _tflite(path: Path, shape: tuple[int, int] | None, scale: int | None, name: str) -> Complexity:
    from edgesr.bench.cost_tflite import tflite_complexity

    found = tflite_complexity(path, shape=shape, name=name)
    if scale is not None and scale != found.scale:
        raise ConfigError(f"{path}: enlarges x{found.scale}, but --scale {scale} was asked for")
    return found
