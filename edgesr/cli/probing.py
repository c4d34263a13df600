"""What ``debug`` and ``calibrate`` share: their page, their estimator and their progress."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgesr.errors import OutputError, UsageError

Start = Callable[[int], Callable[[], None]]
"""Gets the number of runs to come; what it returns is called after each."""


def check_page(page: Path, schema: str) -> None:
    """Refuse a page that cannot be written before minutes are spent.

    Args:
        page: HTML file; its figures go beside it as .json.
        schema: start of the schema of these figures, which may be written over.

    Raises:
        UsageError: ``page`` is not named like one.
        OutputError: it cannot be written, or other figures would be lost.
    """
    if page.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--html {page}: want a name that ends in .html")
    folder = next(one for one in page.absolute().parents if one.exists())
    if page.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"{page}: cannot be written; choose another path")
    beside = page.with_suffix(".json")
    if beside.exists() and not _has_schema(beside, schema):
        raise OutputError(
            f"{beside}: is there and no earlier report, and would be overwritten; name another page"
        )


def check_observer(name: str) -> None:
    """Refuse an estimator of ranges that does not exist.

    Raises:
        UsageError: names those that do.
    """
    from edgesr.quant.observers import OBSERVERS

    if name not in OBSERVERS:
        raise UsageError(f"--observer {name} is unknown; choose one of {', '.join(OBSERVERS)}")


@contextmanager
def ticking(what: str) -> Iterator[Start]:
    """Show a progress bar on a terminal while a ``with`` block runs."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from edgesr.cli.console import err

    columns = (
        TextColumn(f"{what} {{task.completed}}/{{task.total}}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    hidden = not err.is_terminal or err.quiet
    with Progress(*columns, console=err, transient=True, disable=hidden) as progress:

        def start(total: int) -> Callable[[], None]:
            task = progress.add_task("", total=total)
            return lambda: progress.advance(task)

        yield start


def _has_schema(path: Path, schema: str) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("schema")).startswith(schema)
