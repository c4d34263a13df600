"""``edgesr data``: list, verify and download image sets."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from edgesr.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from edgesr.data.known import KnownSet
    from edgesr.data.verify import Verification

data = App(name="data", help="List, verify and download image sets.")


@data.command(name="list")
def list_(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the image sets that `edgesr data download` knows.

    Args:
        json: print one JSON document instead of a table.
    """
    import dataclasses

    from edgesr.cli.console import out, say
    from edgesr.data.known import KNOWN_SETS

    if json:
        sets = [dataclasses.asdict(known) for known in KNOWN_SETS.values()]
        out.print_json(data={"schema": "edgesr/data-list/1", "sets": sets})
        return
    from rich.table import Table

    table = Table()
    for heading in ("name", "what", "size", "unpacks to"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for known in KNOWN_SETS.values():
        table.add_row(known.name, known.title, _megabytes(known), known.folder)
    out.print(table)
    for licence in dict.fromkeys(known.licence for known in KNOWN_SETS.values()):
        out.print(licence, markup=False, soft_wrap=True)
    say("fetch with: edgesr data download NAME... --to FOLDER")


@data.command
def verify(
    path: Path,
    /,
    *,
    scale: Annotated[int, Parameter(name=["--scale", "-s"], validator=Number(gte=1))] = 3,
    lr: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Check that every image decodes, that pairs fit, and that hashes are as listed.

    Hashes are compared with a MANIFEST.csv (columns file, sha256_file) or a SHA256SUMS in the
    folder or the one above.

    Args:
        path: folder of images; its layout is recognised.
        scale: upscaling factor of the pairs.
        lr: folder of the low-resolution images when it lies elsewhere.
        json: print one JSON document instead of lines.
    """
    from edgesr.cli.console import out
    from edgesr.data.verify import verify as check

    with _progress() as progress:
        task = progress.add_task("checking", total=None)
        result = check(
            path,
            scale,
            lr_root=lr,
            progress=partial(_show, progress, task),
        )
    if json:
        out.print_json(data=_document(result))
    else:
        for line in (result.dataset.describe(), *result.problems, _summary(result)):
            out.print(line, markup=False, soft_wrap=True)
    if result.problems:
        raise DatasetError(
            f"{path}: {len(result.problems)} problems, the first: {result.problems[0]}"
        )


@data.command
def download(*names: str, to: Path) -> None:
    """Download known image sets, check their SHA-256 and unpack them.

    A download that breaks off goes on where it stopped when the command is called again.

    Args:
        names: sets that `edgesr data list` shows.
        to: folder that takes them.
    """
    from edgesr.cli.console import out, say
    from edgesr.data.download import fetch
    from edgesr.data.known import KNOWN_SETS

    unknown = [name for name in names if name not in KNOWN_SETS]
    if unknown or not names:
        came = f"no set is named {unknown[0]}" if unknown else "no set was named"
        raise UsageError(f"{came}; choose of {', '.join(KNOWN_SETS)}")
    for known in (KNOWN_SETS[name] for name in names):
        say(f"{known.name}: {known.title}, {_megabytes(known)} from {known.source}")
        say(f"licence: {known.licence}")
        with _progress() as progress:
            task = progress.add_task(known.name, total=known.bytes)
            folder = fetch(known, to, progress=partial(_show, progress, task))
        out.print(str(folder), markup=False, soft_wrap=True)


def _progress() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from edgesr.cli.console import err

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _show(progress: "Progress", task: "TaskID", done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def _megabytes(known: "KnownSet") -> str:
    return f"{known.bytes / 1e6:,.0f} MB"


def _summary(result: "Verification") -> str:
    count = len(result.dataset.pairs)
    state = f"{len(result.problems)} problems" if result.problems else "all well"
    lists = (
        f" ({', '.join(map(str, result.lists))})" if result.lists else ", no list of hashes found"
    )
    return f"{count} images decoded, {result.hashed} files compared by SHA-256{lists}: {state}"


def _document(result: "Verification") -> dict[str, Any]:
    return {
        "schema": "edgesr/data-verify/1",
        "kind": result.dataset.kind,
        "root": str(result.dataset.root),
        "scale": result.dataset.scale,
        "images": len(result.dataset.pairs),
        "pairs": sum(pair.lr is not None for pair in result.dataset.pairs),
        "lists": [str(path) for path in result.lists],
        "hashed": result.hashed,
        "problems": list(result.problems),
    }
