"""Configuration files beneath the flags of ``edgesr train``, read by cyclopts itself."""

import tomllib
from pathlib import Path

from cyclopts import App, ArgumentCollection
from cyclopts.config import Toml

from edgesr.errors import ConfigError

RECIPES = Path(__file__).resolve().parent.parent / "train" / "recipes"
_RUN_CONFIG = "config.toml"


def train_config_files(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill what no flag gave: from ``--config``, then ``--recipe``, or from a run to resume.

    Raises:
        ConfigError: a file is missing or is no TOML; cyclopts names a wrong key and its file.
    """
    for path in _files(arguments):
        _check_toml(path)
        read = Toml(path, use_commands_as_keys=False, must_exist=True, source=str(path))
        read(app, commands, arguments)


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
    argument = arguments.get(name)
    return argument.tokens[-1].value if argument is not None and argument.tokens else None


def _check_toml(path: Path) -> None:
    try:
        tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error}); correct that line") from error
