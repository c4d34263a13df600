"""Read TOML and JSON tables that people write, and refuse what is not understood."""

import dataclasses
import difflib
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgesr.errors import ConfigError

T = TypeVar("T")


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML file, or a JSON file by its suffix, whose top level is a table.

    Raises:
        ConfigError: the file is missing, damaged, or holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise ConfigError(
            f"{path}: is no {kind} ({error}); correct it or write it again"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {type(values).__name__}, want a table of keys")
    return values


def decode(kind: type[T], values: Any, where: str) -> T:
    """Build the dataclass ``kind`` from a table; lists become tuples, tables dataclasses.

    Args:
        kind: a dataclass.
        values: its table.
        where: file and place, for messages.

    Raises:
        ConfigError: an unknown or missing key, a wrong type, or a number that is not finite.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: is {values!r}, want a table")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"want one of {', '.join(fields)}"
            raise ConfigError(f"{where}: unknown key {key}; {hint}")
    missing = [name for name, field in fields.items() if name not in values and _needed(field)]
    if missing:
        raise ConfigError(f"{where}: {missing[0]} is missing; add it")
    hints = typing.get_type_hints(kind)
    return kind(
        **{key: _value(hints[key], value, f"{where}: {key}") for key, value in values.items()}
    )


def _needed(field: "dataclasses.Field[Any]") -> bool:
    none = dataclasses.MISSING
    return field.default is none and field.default_factory is none


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        if value is None:
            return None
        (hint,) = (one for one in arguments if one is not type(None))
        return _value(hint, value, where)
    if origin is tuple:
        return _items(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} = {value!r}: want one of {', '.join(map(str, arguments))}")
        return value
    if dataclasses.is_dataclass(hint):
        return decode(typing.cast("type[Any]", hint), value, where)
    return _plain(hint, value, where)


def _items(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} = {value!r}: want a list")
    hints = [arguments[0]] * len(value) if Ellipsis in arguments else list(arguments)
    if len(hints) != len(value):
        raise ConfigError(f"{where} = {value!r}: want {len(hints)} values")
    places = [f"{where}[{index}]" for index in range(len(value))]
    return tuple(_value(*one) for one in zip(hints, value, places, strict=True))


def _plain(hint: Any, value: Any, where: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number and math.isfinite(value):
        return float(value)
    if hint is not float and type(value) is hint:
        return value
    raise ConfigError(f"{where} = {value!r}: want {_WANTED[hint]}")


_WANTED: Mapping[Any, str] = types.MappingProxyType(
    {float: "a finite number", int: "a whole number", str: "text", bool: "true or false"}
)
