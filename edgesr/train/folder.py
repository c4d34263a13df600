"""Run folders: their names, their resolved configuration, and whether a run may go on."""

import dataclasses
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from edgesr.errors import CheckpointError, ConfigError, OutputError
from edgesr.files import write_text
from edgesr.train.config import TrainConfig
from edgesr.zoo.find import find_entry

CONFIG_FILE = "config.toml"
_FREE_TO_CHANGE = frozenset(
    {
        "compile",
        "log_every",
        "num_workers",
        "resident",
        "runs",
        "name",
        "samples",
        "save_every",
        "tensorboard",
        "val_every",
    }
)


def new_folder(config: TrainConfig) -> Path:
    """Make the run folder of ``config`` and write the resolved configuration into it.

    Raises:
        ConfigError: a run of that name exists.
        OutputError: the folder cannot be made.
    """
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder = config.runs / (config.name or f"{config.model}_x{config.scale}-{stamp}")
    if (folder / CONFIG_FILE).exists():
        raise ConfigError(f"{folder}: there is a run already; choose another --name or --resume it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); set --runs") from error
    write_text(folder / CONFIG_FILE, config_toml(config))
    return folder


def config_toml(config: TrainConfig) -> str:
    """Return ``config`` as TOML; keys without a value are left out, paths are absolute."""
    return tomli_w.dumps(_plain(config))


def check_resumable(config: TrainConfig, folder: Path) -> None:
    """Refuse to go on with a run under settings that would make it another run.

    Raises:
        CheckpointError: ``folder`` is no run folder.
        ConfigError: a setting differs that decides the result.
    """
    path = folder / CONFIG_FILE
    try:
        read = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); name a run folder") from error
    saved = {**_plain(TrainConfig()), **read}
    given = _plain(config)
    for key in sorted(saved.keys() | given.keys()):
        if key not in _FREE_TO_CHANGE and saved.get(key) != given.get(key):
            raise ConfigError(
                f"{path}: {key} is {saved.get(key)!r}, but {given.get(key)!r} was asked for; "
                f"a resumed run keeps it, so drop --{key.replace('_', '-')} or start a new run"
            )


def _plain(config: TrainConfig) -> dict[str, Any]:
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    for key in ("teacher", "start_from"):
        if values[key] is not None:
            # a name stays a name, where one is understood
            takes_name = key == "teacher" or not (config.qat or config.distill != "none")
            is_name = takes_name and find_entry(str(values[key])) is not None
            values[key] = str(values[key]) if is_name else Path(values[key])
    return {key: _value(value) for key, value in values.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    return list(value) if isinstance(value, tuple) else value
