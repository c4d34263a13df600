"""The two streams of the command line: results on stdout, messages on stderr.

Both follow the terminal: no colour and no progress bar where there is none, or with ``NO_COLOR``.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_PIPE_WIDTH = 120


def _console(*, stderr: bool) -> Console:
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, width=width)


out = _console(stderr=False)
err = _console(stderr=True)


@contextmanager
def hushed(*, quiet: bool) -> Iterator[None]:
    """Keep messages and progress off stderr in the block; the one line of an error still comes."""
    before = err.quiet
    err.quiet = before or quiet
    try:
        yield
    finally:
        err.quiet = before


def say(message: str) -> None:
    """Print ``message`` on stderr as it is, unless ``--quiet``."""
    err.print(message, markup=False, soft_wrap=True)
