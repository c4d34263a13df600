"""The programs that measure on a phone: two called ``benchmark_model``, and edgesr's own."""

import json
import re
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgesr.android.elf import abi_of, check_abi
from edgesr.android.errors import RunnerError
from edgesr.data.cache import cache_root
from edgesr.files import atomic_path, sha256_file, write_json

Flavour = Literal["classic", "litert", "native"]

_CARD = "runner.json"
_ANY = "any"
_TIMEOUT_S = 30.0
_FLAG = re.compile(r"--([A-Za-z]\w*(?:-\w+)*)")
_MARKS: tuple[tuple[str, Flavour], ...] = (
    ("use_nnapi", "classic"),
    ("dispatch_library_path", "litert"),
    ("edgesr", "native"),
)
"""What only one program's ``--help`` has."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A program that measures, on this computer's disk.

    Attributes:
        path: the program.
        libraries: shared libraries that it needs beside it.
        version: where it is known.
        sha256: of the program.
    """

    path: Path
    libraries: tuple[Path, ...]
    version: str | None
    sha256: str

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that the phone needs."""
        return (self.path, *self.libraries)


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a runner says of itself.

    Attributes:
        flavour: ``classic`` is TensorFlow Lite's, ``litert`` is LiteRT's, ``native`` edgesr's own.
        flags: names of the flags that it knows.
    """

    flavour: Flavour
    flags: frozenset[str]


def open_runner(path: Path, libraries: tuple[Path, ...] = (), version: str | None = None) -> Runner:
    """Look at a program and its libraries.

    Raises:
        RunnerError: one is missing, or neither an ELF file nor a script.
    """
    for file in (path, *libraries):
        abi_of(file)
    return Runner(path=path, libraries=libraries, version=version, sha256=sha256_file(path))


def find_runner(abis: tuple[str, ...]) -> Runner:
    """Return the runner that ``edgesr device setup`` stored for the first of ``abis``.

    Raises:
        RunnerError: there is none.
    """
    for abi in (*abis, _ANY):
        card = _home(abi) / _CARD
        if card.is_file():
            return _stored(card)
    raise RunnerError(
        f"runner: none is set up for {' or '.join(abis) or 'this phone'}; run `edgesr device setup "
        "--runner PATH` with a benchmark_model binary, or give --runner"
    )


def store_runner(runner: Runner) -> Runner:
    """Copy a runner and its libraries to the cache, as the one for its processor."""
    abi = abi_of(runner.path) or _ANY
    home = _home(abi)
    copies = []
    for file in runner.files:
        with atomic_path(home / file.name) as temporary:
            shutil.copyfile(file, temporary)
        (home / file.name).chmod(0o755)
        copies.append(home / file.name)
    card = {
        "program": copies[0].name,
        "libraries": [copy.name for copy in copies[1:]],
        "version": runner.version,
    }
    write_json(home / _CARD, card)
    return _stored(home / _CARD)


def fetch_runner(url: str, folder: Path) -> Path:
    """Download a program into ``folder``.

    Raises:
        RunnerError: the address does not answer or is no web address.
    """
    if not url.startswith(("https://", "http://")):
        raise RunnerError(f"{url}: want an https address; use --runner for a file")
    target = folder / (url.rstrip("/").rpartition("/")[2] or "benchmark_model")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - checked
            data = answer.read()
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise RunnerError(
            f"{url}: cannot be fetched ({reason}); fetch it by other means and give --runner PATH"
        ) from error
    target.write_bytes(data)
    return target


def version_in(url: str) -> str | None:
    """Return the version that an address names, such as ``2.2.0``."""
    match = re.search(r"/v?(\d+\.\d+\.\d+)/", url)
    return match[1] if match else None


def abilities(help_text: str, name: str) -> Abilities:
    """Read what the program prints for ``--help``.

    Raises:
        RunnerError: it is none of the programs that are known, or does not run on the phone.
    """
    for mark, flavour in _MARKS:
        if mark in help_text:
            return Abilities(flavour=flavour, flags=frozenset(_FLAG.findall(help_text)))
    told = " ".join(help_text.split())[-200:] or "it prints nothing"
    raise RunnerError(
        f"{name}: its --help is none of benchmark_model ({told}); want TensorFlow Lite's or "
        "LiteRT's benchmark_model for this phone's processor"
    )


def check_runner(runner: Runner, abis: tuple[str, ...]) -> None:
    """Refuse a runner that the phone's processor cannot run.

    Raises:
        RunnerError: the program or a library is for another processor.
    """
    for file in runner.files:
        check_abi(file, abis)


def _home(abi: str) -> Path:
    return cache_root() / "runners" / abi


def _stored(card: Path) -> Runner:
    try:
        found: dict[str, Any] = json.loads(card.read_text())
        libraries = tuple(card.parent / name for name in found["libraries"])
        return open_runner(card.parent / found["program"], libraries, found["version"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunnerError(f"{card}: is damaged; run `edgesr device setup` again") from error
