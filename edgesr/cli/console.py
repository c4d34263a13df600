"""The two streams of the command line: results on stdout, messages on stderr.

Both follow the terminal: no colour and no progress bar where there is none, or with ``NO_COLOR``.
"""

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Print ``message`` on stderr as it is, unless ``--quiet``."""
    err.print(message, markup=False, soft_wrap=True)
