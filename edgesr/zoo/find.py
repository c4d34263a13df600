"""The float weights that a name or path stands for."""

from pathlib import Path

from edgesr.errors import CheckpointError
from edgesr.zoo import ZOO

_FORMS = {".safetensors", ".pth"}


def find_weights(source: str | Path) -> Path:
    """Return the weights file or run folder of a shipped network's name or of a path.

    Raises:
        CheckpointError: there is none, or it is a file without float weights, such as a .tflite.
    """
    entry = ZOO.get(str(source))
    if entry is not None:
        return entry.weights
    path = Path(source)
    if not path.exists():
        raise CheckpointError(
            f"{source}: no such run, weights file or shipped network; "
            f"name a path or one of {', '.join(ZOO)}"
        )
    if path.is_file() and path.suffix not in _FORMS:
        raise CheckpointError(
            f"{path}: holds no float weights, want a run folder, .safetensors or .pth; name what "
            "it was made from"
        )
    return path
