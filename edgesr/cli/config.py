"""What cyclopts leaves open: where ``edgesr train`` finds its TOML files, and strict values.

cyclopts turns the config dataclass into flags, and fills from a mapping what no flag gave.
"""

import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from cyclopts import App, Argument, ArgumentCollection
from cyclopts.config import Dict

from edgesr.errors import ConfigError, UsageError

RECIPES = Path(__file__).resolve().parent.parent / "train" / "recipes"
_RUN_CONFIG = "config.toml"


def train_config_files(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill what no flag gave: from ``--config``, then ``--recipe``, or from a run to resume.

    Raises:
        ConfigError: a file is missing, is no TOML, or has a key that is no setting.
    """
    for path in _files(arguments):
        fill_from_toml(path, app, commands, arguments)


def fill_from_toml(
    path: Path, app: App, commands: tuple[str, ...], arguments: ArgumentCollection
) -> None:
    """Give the fields of the command's config dataclass that have no value yet those of ``path``.

    Raises:
        ConfigError: the file is missing, is no TOML, or has a key that is no field.
    """
    values = _read_toml(path)
    _check_keys(path, values, arguments)
    # Below the command's name: at the top cyclopts drops keys that are commands, such as ``data``.
    for command in reversed(commands):
        values = {command: values}
    Dict(values, source=str(path))(app, commands, arguments)


def check_whole_numbers(
    app: App,  # noqa: ARG001 - cyclopts calls it with three arguments
    commands: tuple[str, ...],  # noqa: ARG001
    arguments: ArgumentCollection,
) -> None:
    """Refuse fractions where a whole number is wanted; cyclopts would round them.

    Raises:
        UsageError: a flag has one.
        ConfigError: a file has one.
    """
    for argument in arguments:
        for token in argument.tokens:
            if "." in token.value and _wants_whole_number(argument):
                kind, where = (
                    (UsageError, token.keyword or argument.name)
                    if token.source in {"", "cli"}
                    else (ConfigError, f"{token.source}: {argument.field_info.name}")
                )
                raise kind(f"{where} = {token.value}: want a whole number")


def recipe_names() -> list[str]:
    """Return the names that ``--recipe`` takes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def _files(arguments: ArgumentCollection) -> list[Path]:
    resume, config, recipe = (_flag(arguments, f"--{n}") for n in ("resume", "config", "recipe"))
    files = [] if config is None else [Path(config)]
    if resume is not None:
        files.append(Path(resume) / _RUN_CONFIG)
    elif recipe is not None:
        files.append(RECIPES / f"{recipe}.toml")
        if not files[-1].is_file():
            known = ", ".join(recipe_names())
            raise ConfigError(f"recipe {recipe!r} is unknown; choose one of {known}")
    return files


def _flag(arguments: ArgumentCollection, name: str) -> str | None:
    argument = arguments.get(name, None)
    return argument.tokens[-1].value if argument is not None and argument.tokens else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error}); correct that line") from error


def _check_keys(path: Path, values: dict[str, Any], arguments: ArgumentCollection) -> None:
    fields = [argument.keys[-1] for argument in arguments if argument.keys]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"want one of {', '.join(fields)}"
            raise ConfigError(f"{path}: unknown key {key}; {hint}")


def _wants_whole_number(argument: Argument) -> bool:
    leaves = set(_leaves(argument.hint))
    return int in leaves and not leaves & {float, str, Path}


def _leaves(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in {typing.Union, types.UnionType, tuple, list}:
        return [leaf for part in typing.get_args(hint) for leaf in _leaves(part)]
    return [hint]
