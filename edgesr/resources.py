"""Locate the data folders that ship with edgesr."""

from pathlib import Path

from edgesr.errors import DataError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """Return data folder ``name``: packaged in a wheel, at the repository root in a checkout."""
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise DataError(f"edgesr data folder {name!r} is missing; reinstall edgesr")
