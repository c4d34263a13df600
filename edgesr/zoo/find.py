"""What a name or path stands for: a shipped network, and its float weights."""

from pathlib import Path

from edgesr.errors import CheckpointError
from edgesr.zoo import ZOO, ZooEntry

_FORMS = {".safetensors", ".pth"}


def find_entry(source: str | Path, *, steps: int | None = None) -> ZooEntry | None:
    """Return the shipped network of a name; None of what is no such name.

    One step of a denoiser whose card names a one-step student is taken by the student.

    Args:
        source: name in ``ZOO``, or anything else.
        steps: evaluations that are asked of a denoiser; None takes the usual number.

    Raises:
        CheckpointError: the card cannot be read, or names a student that is not shipped.
    """
    entry = ZOO.get(str(source))
    if entry is None or not entry.is_denoiser or steps != 1:
        return entry
    student = entry.read_card().get("one_step")
    if student is None:
        return entry
    if student not in ZOO:
        raise CheckpointError(
            f"{entry.card}: names the one-step student {student}, which is not shipped; reinstall "
            "edgesr or drop --steps 1"
        )
    return ZOO[student]


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
