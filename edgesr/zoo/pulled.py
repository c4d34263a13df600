"""Trained networks that were pulled into the user's cache."""

from pathlib import Path

from edgesr.errors import CheckpointError
from edgesr.zoo import ZooEntry
from edgesr.zoo.release import NAME, Release, parse_index

RELEASE_FILE = "release.json"
"""In the folder of a pulled network: what the index says of it; written when all is there."""

_FOLDER = "models"


def pulled_folder(name: str) -> Path:
    """Return where the network ``name`` is pulled to, below ``$EDGESR_CACHE`` or the user's."""
    from edgesr.data.cache import cache_root  # numpy and Pillow, which names alone do not need

    return cache_root() / _FOLDER / name


def pulled_release(name: str) -> Release | None:
    """Return what the index said of the pulled network ``name``; None where there is none.

    Raises:
        CheckpointError: the file that says so is damaged.
    """
    if not NAME.fullmatch(name):
        return None
    path = pulled_folder(name) / RELEASE_FILE
    if not path.is_file():
        return None
    try:
        found = parse_index(path.read_bytes(), str(path))
    except (OSError, CheckpointError) as error:
        raise _damaged(path, name) from error
    if name not in found:
        raise _damaged(path, name)
    return found[name]


def pulled_entry(name: str) -> ZooEntry | None:
    """Return the pulled network ``name``; None where there is none.

    Raises:
        CheckpointError: the file that describes it is damaged.
    """
    release = pulled_release(name)
    return None if release is None else release.entry(pulled_folder(name))


def pulled_names() -> tuple[str, ...]:
    """Return the names of all pulled networks."""
    found = pulled_folder("x").parent.glob(f"*/{RELEASE_FILE}")
    return tuple(sorted(path.parent.name for path in found if NAME.fullmatch(path.parent.name)))


def _damaged(path: Path, name: str) -> CheckpointError:
    return CheckpointError(f"{path}: is damaged; fetch it again with edgesr models pull {name}")
