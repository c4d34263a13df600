"""The TOML files under ``benchmarks/``: find them, read them, refuse what is not understood."""

import difflib
from pathlib import Path
from typing import Any

from edgesr.datafiles import decode, read_table
from edgesr.errors import ConfigError
from edgesr.resources import data_dir

__all__ = ["decode", "load", "names", "read_table"]


def names(kind: str) -> list[str]:
    """Return the names of the files in ``benchmarks/<kind>``."""
    return sorted(path.stem for path in (data_dir("benchmarks") / kind).glob("*.toml"))


def load(kind: str, name: str) -> tuple[Path, dict[str, Any]]:
    """Return path and content of ``benchmarks/<kind>/<name>.toml``.

    Raises:
        ConfigError: there is no such file, or it is damaged or of another schema.
    """
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
        raise ConfigError(f"{kind.rstrip('s')} {name!r} is unknown; {hint}")
    path = data_dir("benchmarks") / kind / f"{name}.toml"
    values = read_table(path)
    wanted = f"edgesr/{kind}/1"
    if values.pop("schema", None) != wanted:
        raise ConfigError(f'{path}: want the line schema = "{wanted}"; the file is of another kind')
    return path, values
