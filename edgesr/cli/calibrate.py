"""``edgesr calibrate``: how good and how steady the ranges of an int8 network are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.cli.probing import check_observer, check_page, ticking
from edgesr.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from edgesr.debug.calibration_report import CalibrationReport

_SCHEMA = "edgesr/calibration/"


def calibrate(  # noqa: PLR0913 - one parameter a flag
    run: str | None = None,
    /,
    *,
    seeds: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    counts: str = "1,2,4,8,16,32",
    html: Path | None = None,
    calibration: Path | None = None,
    data: Path | None = None,
    observer: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Calibrate a network many times and report ranges, coverage, stability and images needed.

    Args:
        run: run folder, weights file, or a shipped network such as ncnet_x3; default is the
            newest run.
        seeds: how often the whole set is cut into crops anew.
        counts: numbers of calibration images for the curve, with commas.
        html: page to write, with curves; the figures go beside it as .json.
        calibration: folder of training images that set the ranges; default are the training images
            of the run.
        data: folder of images to judge on; default are those that the run held out.
        observer: estimator of the ranges; default is that of export.
        json: print the figures as JSON instead of tables.
    """
    numbers = _counts(counts)
    if html is not None:
        check_page(html, _SCHEMA)
    if observer is not None:
        check_observer(observer)

    from edgesr.cli.console import out, say
    from edgesr.debug.calibration_json import document
    from edgesr.debug.calibration_page import html as page
    from edgesr.debug.calibration_report import CalibrationRequest, calibration_report
    from edgesr.files import write_json, write_text
    from edgesr.models.checkpoint import newest_run

    source = run or str(newest_run())
    say(f"calibrating {source} in int8")
    request = CalibrationRequest(
        data=data, calibration=calibration, observer=observer, seeds=seeds, counts=numbers
    )
    with ticking("calibrating") as start:
        report = calibration_report(source, request, start=start)
    for warning in report.warnings:
        say(f"warning: {warning}")
    found = document(report)
    if json:
        out.print_json(data=found)
    for table in [] if json else _tables(report):
        out.print(table)
    if html is None:
        return
    write_text(html, page(report))
    write_json(html.with_suffix(".json"), found)
    for path in (html, html.with_suffix(".json")):
        (say if json else _line)(f"{path}  {path.stat().st_size:,} bytes")


def _line(text: str) -> None:
    from edgesr.cli.console import out

    out.print(text, markup=False, soft_wrap=True)


def _counts(text: str) -> tuple[int, ...]:
    try:
        numbers = {int(part) for part in text.split(",")}
    except ValueError:
        numbers = set()
    if not numbers or min(numbers) < 1:
        raise UsageError(
            f"--counts {text!r}: want whole numbers from 1 with commas, such as 1,4,16"
        )
    return tuple(sorted(numbers))


def _tables(report: "CalibrationReport") -> "list[Table]":
    from rich.table import Table
    from rich.text import Text

    from edgesr.debug import calibration_text

    name = f"{report.loaded.descriptor.name} x{report.loaded.scale}"
    facts = Table(title=f"{name}: calibration", show_header=False)
    for what, text in calibration_text.fact_rows(report):
        facts.add_row(what, Text(text))
    tensors = Table(title="ranges, all images, seed 0 (* the grid of 8-bit images)")
    curve = Table(title="fewer images (* recommended)")
    for table, headings, rows in (
        (tensors, calibration_text.TENSOR_HEADINGS, calibration_text.tensor_rows(report)),
        (curve, calibration_text.CURVE_HEADINGS, calibration_text.curve_rows(report)),
    ):
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="right" if index else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
    return [facts, tensors, curve]
