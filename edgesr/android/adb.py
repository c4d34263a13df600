"""Talk to a phone through the real ``adb`` program, and trust no exit status of it.

adb 29 returns 0 when the cable is cut in the middle of a command, and phones without the
``shell_v2`` feature always do. So every command ends in a line that only the phone can print, with
the status in it; where that line is missing, the phone was lost.
"""

import os
import secrets
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgesr.android.devices import STATE_ADVICE
from edgesr.android.errors import (
    DeviceError,
    LostDeviceError,
    NoAdbError,
    NoDeviceError,
    NoSpaceError,
    OfflineError,
    RunTimeoutError,
    SeveralDevicesError,
    UnauthorizedError,
)
from edgesr.android.process import Finished, one_line, run_process

_MARK = "@@edgesr"
_QUICK_S = 30.0
_PUSH_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command on the phone gave.

    Attributes:
        code: its exit status; 128 + n where signal n ended it.
        text: standard output and error, in the order in which they came.
    """

    code: int
    text: str


class Shell(Protocol):
    """Something that runs a script of the phone's shell: a phone, or this computer."""

    def shell(self, script: str, *, timeout: float = ...) -> Answer:
        """Run ``script`` and wait for its end."""
        ...


def find_adb(named: Path | None = None) -> Path:
    """Return the adb to use: ``--adb``, ``$ADB``, the PATH's, or the one that adbutils brings.

    Raises:
        NoAdbError: there is none, or the named one does not exist.
    """
    for name, origin in ((named, "--adb"), (os.environ.get("ADB"), "$ADB")):
        if name:
            found = shutil.which(str(name))
            if found is None:
                raise NoAdbError(
                    f"{origin} {name}: no such program; correct the path or leave it out"
                )
            return Path(found)
    found = shutil.which("adb")
    if found is not None:
        return Path(found)
    bundled = _bundled()
    if bundled is not None:
        return bundled
    raise NoAdbError(
        "adb: not found on the PATH; install Android's platform-tools, or pip install "
        "'edgesr[device]', which brings one"
    )


def _bundled() -> Path | None:
    try:
        import adbutils
    except ImportError:
        return None
    folder = Path(adbutils.__file__).parent / "binaries"
    return next((p for name in ("adb", "adb.exe") if (p := folder / name).is_file()), None)


def adb_version(adb: Path) -> str:
    """Return adb's own version, such as ``36.0.0-13206524``.

    Raises:
        NoAdbError: the program does not run or is no adb.
    """
    try:
        answer = run_process([str(adb), "version"], timeout=_QUICK_S)
    except (OSError, TimeoutError) as error:
        raise NoAdbError(f"{adb}: does not run ({error}); name another with --adb") from error
    lines = answer.out.splitlines()
    if not lines or "Android Debug Bridge" not in lines[0]:
        raise NoAdbError(f"{adb}: is no adb; name another with --adb")
    version = next((line for line in lines if line.startswith("Version ")), lines[0])
    return version.rpartition(" ")[2]


@dataclass(frozen=True, kw_only=True)
class Phone:
    """One connected phone.

    Attributes:
        adb: program.
        serial: what adb calls it.
        stop: set by another thread to end whatever runs.
    """

    adb: Path
    serial: str
    stop: threading.Event = field(default_factory=threading.Event)

    def shell(self, script: str, *, timeout: float = _QUICK_S) -> Answer:
        """Run ``script`` in the phone's shell and wait for its end.

        Args:
            script: one or more lines; standard error is joined to standard output.
            timeout: seconds.

        Raises:
            LostDeviceError: the connection ended before the script did.
            RunTimeoutError: the phone gave no answer in time.
            DeviceError: adb itself refused, see ``failure``.
        """
        nonce = secrets.token_hex(6)
        wrapped = f'(\n{script}\n) 2>&1; r=$?; echo; echo "{_MARK} {nonce} $r"'
        try:
            answer = self._run("shell", wrapped, timeout=timeout)
        except TimeoutError as error:
            raise RunTimeoutError(f"device {self.serial}: {error}; look at the phone") from error
        return read_answer(answer, nonce, self.serial)

    def push(self, files: Mapping[Path, str], *, timeout: float = _PUSH_S) -> None:
        """Copy files to the phone; the folders have to be there.

        Args:
            files: local path -> path on the phone.
            timeout: seconds for each.

        Raises:
            NoSpaceError: they do not fit.
            DeviceError: adb refused or the phone was lost.
        """
        for local, remote in files.items():
            try:
                answer = self._run("push", str(local), remote, timeout=timeout)
            except TimeoutError as error:
                raise LostDeviceError(
                    f"device {self.serial}: pushing {local.name}: {error}; check the cable"
                ) from error
            # adb 36 prints "1 file pushed" and then the error: the status alone tells.
            if answer.code or "No space left" in answer.err + answer.out:
                raise failure(answer, self.serial, doing=f"pushing {local.name}")

    def pull(self, remote: str, local: Path) -> None:
        """Copy one file from the phone.

        Raises:
            DeviceError: it is not there, or the phone was lost.
        """
        answer = self._run("pull", remote, str(local), timeout=_PUSH_S)
        if answer.code:
            raise failure(answer, self.serial, doing=f"pulling {remote}")

    def _run(self, *arguments: str, timeout: float) -> Finished:
        argv = [str(self.adb), "-s", self.serial, *arguments]
        return run_process(argv, timeout=timeout, stop=self.stop)


def read_answer(answer: Finished, nonce: str, serial: str) -> Answer:
    """Split what adb printed into the command's text and its status.

    Raises:
        LostDeviceError: the closing line is missing.
        DeviceError: adb itself refused, see ``failure``.
    """
    text, found, status = answer.out.rpartition(f"{_MARK} {nonce} ")
    if not found:
        raise failure(answer, serial, doing="running a command", lost=True)
    return Answer(code=int(status.split()[0]), text=text.removesuffix("\n"))


def failure(answer: Finished, serial: str, *, doing: str, lost: bool = False) -> DeviceError:
    """Return the error that adb's own words mean.

    Args:
        answer: of adb.
        serial: phone.
        doing: what was tried, for the message.
        lost: the command had begun, so that whatever else happened, the phone was lost.
    """
    words = one_line(answer.err if lost else answer.err or answer.out)
    where = f"device {serial}: {doing}"
    for text, kind, advice in _WORDS:
        if text in words:
            return kind(f"{where}: {words}; {advice}")
    if lost:
        return LostDeviceError(
            f"{where}: the connection ended before the command did ({words or 'no message'}); "
            "check the cable and go on with --resume"
        )
    return DeviceError(f"{where}: {words or f'adb ended with {answer.code}'}")


_WORDS: tuple[tuple[str, type[DeviceError], str], ...] = (
    ("No space left", NoSpaceError, "free space on the phone, or run `edgesr device clean`"),
    ("unauthorized", UnauthorizedError, STATE_ADVICE["unauthorized"]),
    ("device offline", OfflineError, STATE_ADVICE["offline"]),
    ("more than one device", SeveralDevicesError, "choose with -s SERIAL, or --all"),
    ("no devices/emulators found", NoDeviceError, "connect the phone"),
    ("not found", NoDeviceError, "look at `edgesr device list`"),
)
