"""What a name or path stands for: a shipped or pulled network, and its float weights."""

from pathlib import Path

from edgesr.errors import CheckpointError
from edgesr.zoo import ZOO, ZooEntry
from edgesr.zoo.pulled import pulled_entry

_FORMS = {".safetensors", ".pth"}


def find_entry(source: str | Path, *, steps: int | None = None) -> ZooEntry | None:
    """Return the shipped or pulled network of a name; None of what is no such name.

    One step of a denoiser whose card names a one-step student is taken by the student.

    Args:
        source: name in ``ZOO`` or of a pulled network, or anything else.
        steps: evaluations that are asked of a denoiser; None takes the usual number.

    Raises:
        CheckpointError: the card cannot be read, or names a student that is not there.
    """
    entry = _entry(str(source))
    if entry is None or not entry.is_denoiser or steps != 1:
        return entry
    student = entry.read_card().get("one_step")
    if student is None:
        return entry
    found = _entry(student)
    if found is None:
        lack = f"pulled; pull {student}" if entry.is_pulled else "shipped; reinstall edgesr"
        raise CheckpointError(
            f"{entry.card}: names the one-step student {student}, which is not {lack} or drop "
            "--steps 1"
        )
    return found


def find_weights(source: str | Path) -> Path:
    """Return the weights file or run folder of a shipped or pulled network's name or of a path.

    Raises:
        CheckpointError: there is none, a shipped or pulled file is damaged, or it is a file without
            float weights, such as a .tflite.
    """
    entry = find_entry(source)
    if entry is not None:
        return entry.intact(entry.weights)
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


def _entry(name: str) -> ZooEntry | None:
    return ZOO.get(name) or pulled_entry(name)
