"""A child process with a time limit that another thread can stop."""

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

_POLL_S = 0.2


class StoppedError(Exception):
    """Somebody asked this work to stop; never reaches the user."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A process that has ended.

    Attributes:
        code: exit status.
        out: standard output; bytes that are no UTF-8 are replaced.
        err: standard error.
    """

    code: int
    out: str
    err: str


def run_process(
    argv: Sequence[str], *, timeout: float, stop: threading.Event | None = None
) -> Finished:
    """Run ``argv`` without standard input and wait.

    The child gets a session of its own, so that Ctrl-C reaches edgesr alone, which cleans up.

    Args:
        argv: program and arguments.
        timeout: seconds after which the child is killed.
        stop: when set by another thread, the child is killed.

    Raises:
        TimeoutError: the time is up.
        StoppedError: ``stop`` was set.
        OSError: the program cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - no shell; the program is adb or sh
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    with process:
        while True:
            left = deadline - time.monotonic()
            try:
                out, err = process.communicate(timeout=max(min(_POLL_S, left), 0.01))
            except subprocess.TimeoutExpired:
                if stop is not None and stop.is_set():
                    _kill(process)
                    raise StoppedError from None
                if left <= 0:
                    _kill(process)
                    raise TimeoutError(f"no answer in {timeout:.0f} s") from None
                continue
            return Finished(code=process.returncode, out=_text(out), err=_text(err))


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdout, process.stderr):
        if stream is not None:  # a grandchild may keep them open; do not wait for it
            stream.close()


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")


def one_line(text: str) -> str:
    """Return what adb said on one line, without its notes about the server."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith("* daemon")]
    return " ".join(told)[-300:]
