"""Put a runner and models on a phone, prove that they arrived, and take them away again."""

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesr.android.adb import Phone
from edgesr.android.commands import ROOT, cleanup_script
from edgesr.android.errors import DeviceError, LostDeviceError, NoSpaceError
from edgesr.android.facts import Facts
from edgesr.android.model import ModelFile
from edgesr.android.runners import Abilities, Runner, abilities, check_runner
from edgesr.android.sections import section_script, split_sections
from edgesr.files import sha256_file

_RESERVE_KB = 1024
_KB = 1024


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What lies on the phone.

    Attributes:
        folder: that holds it all.
        program: path of the runner.
        library: path of the library that edgesr's own runner opens; empty where there is none.
        models: hash of a model's content -> path.
        files: name, sha256 and bytes of everything that was pushed.
        able: what the runner says of itself.
    """

    folder: str
    program: str
    library: str
    models: Mapping[str, str]
    files: tuple[Mapping[str, str | int], ...]
    able: Abilities


def install(  # noqa: PLR0913 - what, where and into which folder
    phone: Phone,
    runner: Runner,
    models: Sequence[ModelFile],
    *,
    facts: Facts,
    extra: Sequence[Path] = (),
    folder: str | None = None,
) -> Installed:
    """Push everything, compare hashes on the phone, and ask the runner for its flags.

    Args:
        phone: where to.
        runner: program.
        models: files; equal ones are pushed once.
        facts: of the phone.
        extra: delegate libraries.
        folder: on the phone; default is a new one.

    Raises:
        NoSpaceError: the phone's storage or memory is too small.
        RunnerError: the runner is for another processor, or no runner.
        DeviceError: a file arrived damaged, or the phone was lost.
    """
    check_runner(runner, facts.abis)
    for model in models:
        _check_memory(model, facts)
    folder = folder or new_folder()
    with tempfile.TemporaryDirectory() as staging:
        remote: dict[Path, str] = {}
        placed: dict[str, str] = {}
        for model in models:
            if model.sha256 not in placed:
                copy = Path(staging) / f"{model.sha256[:12]}.tflite"
                copy.write_bytes(model.content)
                placed[model.sha256] = remote[copy] = f"{folder}/{copy.name}"
        for file in (*runner.files, *extra):
            remote[file] = f"{folder}/{file.name}"
        _check_space(remote, facts)
        phone.shell(f"mkdir -p {folder}")
        phone.push(remote)
        hashes = {path: sha256_file(path) for path in remote}
        program = f"{folder}/{runner.path.name}"
        told = _verify(phone, remote, hashes, program=program, libraries=folder)
        files: tuple[Mapping[str, str | int], ...] = tuple(
            {"name": path.name, "sha256": hashes[path], "bytes": path.stat().st_size}
            for path in remote
        )
    return Installed(
        folder=folder,
        program=program,
        library=f"{folder}/{runner.libraries[0].name}" if runner.libraries else "",
        models=placed,
        files=files,
        able=abilities(told, runner.path.name),
    )


def new_folder() -> str:
    """Return a folder on the phone that nobody else uses."""
    return f"{ROOT}/{secrets.token_hex(6)}"


def clean(phone: Phone, folder: str = ROOT, *, keep: bool = False) -> None:
    """End a runner that still runs and remove ``folder``.

    Raises:
        DeviceError: the phone is not there.
    """
    phone.shell(cleanup_script(folder, keep=keep))


def _check_space(files: Mapping[Path, str], facts: Facts) -> None:
    needed = sum(path.stat().st_size for path in files) // _KB + _RESERVE_KB
    if facts.free_kb is not None and facts.free_kb < needed:
        raise NoSpaceError(
            f"/data/local/tmp: {facts.free_kb} KiB are free, want {needed}; free space on the "
            "phone, or run `edgesr device clean`"
        )


def _check_memory(model: ModelFile, facts: Facts) -> None:
    needed = model.least_bytes // _KB
    if facts.memory_kb is not None and needed > facts.memory_kb:
        raise NoSpaceError(
            f"{model.name}: one operator alone needs {needed // _KB} MiB, the phone has "
            f"{facts.memory_kb // _KB} MiB of memory; measure a smaller --shape"
        )


def _verify(
    phone: Phone,
    files: Mapping[Path, str],
    hashes: Mapping[Path, str],
    *,
    program: str,
    libraries: str,
) -> str:
    """Compare hashes and return what the runner prints for ``--help``, in one round trip."""
    script = {
        "sums": "\n".join(f"sha256sum {name}" for name in files.values()),
        "help": f"chmod 755 {program}; LD_LIBRARY_PATH={libraries} {program} --help",
    }
    sections = split_sections(phone.shell(section_script(script)).text)
    lines = [line.split(maxsplit=1) for line in sections.get("sums", "").splitlines()]
    found = {line[-1]: line[0] for line in lines if line}
    for local, remote in files.items():
        arrived = found.get(remote) or _pulled(phone, remote)
        if arrived != hashes[local]:
            raise LostDeviceError(
                f"{remote}: sha256 on the phone is {arrived[:12]}, want {hashes[local][:12]} of "
                f"{local.name}; check the cable and try again"
            )
    return sections.get("help", "")


def _pulled(phone: Phone, remote: str) -> str:
    """Hash a file here: old phones have no sha256sum."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        phone.pull(remote, copy)
        if not copy.is_file():
            raise DeviceError(f"{remote}: cannot be read back; try again")
        return sha256_file(copy)
