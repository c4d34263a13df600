"""For which processor a program or library is built, from its ELF header."""

import struct
from pathlib import Path

from edgesr.android.errors import RunnerError

_ABIS = {
    (2, 183): "arm64-v8a",
    (1, 40): "armeabi-v7a",
    (2, 62): "x86_64",
    (1, 3): "x86",
}
"""(class, machine) of an ELF header -> what Android calls the processor."""

_HEADER = 20


def abi_of(path: Path) -> str | None:
    """Return Android's name of the processor that ``path`` is for; None for a shell script.

    Raises:
        RunnerError: the file is missing, or neither a program of a known processor nor a script.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER)
    except OSError as error:
        raise RunnerError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if head.startswith(b"#!"):
        return None
    if len(head) < _HEADER or not head.startswith(b"\x7fELF"):
        raise RunnerError(
            f"{path}: is neither an ELF program nor a script; want the plain binary for Android, "
            "not the .apk"
        )
    (machine,) = struct.unpack_from("<H", head, 18)
    abi = _ABIS.get((head[4], machine))
    if abi is None:
        raise RunnerError(
            f"{path}: is for ELF machine {machine}, want one of {', '.join(_ABIS.values())}"
        )
    return abi


def check_abi(path: Path, abis: tuple[str, ...]) -> None:
    """Refuse a file that the phone's processor cannot run.

    Args:
        path: program or library.
        abis: what the phone runs, best first.

    Raises:
        RunnerError: it is for another processor.
    """
    abi = abi_of(path)
    if abi is not None and abi not in abis:
        raise RunnerError(
            f"{path}: is built for {abi}, want {' or '.join(abis) or 'the ABI of the phone'}; "
            "fetch the runner for this phone's processor"
        )
