"""``edgesr debug``: which tensor or weight of an int8 network costs quality, and what helps."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.cli.probing import check_observer, check_page, ticking
from edgesr.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from edgesr.debug.debugger import Debugging

Flag = Annotated[bool, Parameter(negative="")]
_ROWS = 12
_PLACES = 6


def debug(  # noqa: PLR0913 - one parameter a flag
    run: str,
    /,
    *,
    int8: Flag = False,
    html: Path | None = None,
    model: Annotated[str | None, Parameter(name=["--model", "-n"])] = None,
    scale: Annotated[int | None, Parameter(name=["--scale", "-s"])] = None,
    data: Path | None = None,
    calibration: Path | None = None,
    observer: str | None = None,
    crops: Annotated[int, Parameter(validator=Number(gte=1))] = 12,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    json: Flag = False,
) -> None:
    """Keep every tensor and weight of an int8 network in float, one at a time, and rank them.

    Args:
        run: run folder, weights file, or a shipped network such as ncnet_x3.
        int8: debug the 8-bit network; it has to be given.
        html: page to write, with pictures; the figures go beside it as .json.
        model: network, where a weights file does not name it.
        scale: upscaling factor, where a weights file does not name it.
        data: folder of images to compare on; default are those that the run held out.
        calibration: folder of training images that set the ranges; default are the training images
            of the run.
        observer: estimator of the ranges; default is that of export.
        crops: pieces of images to compare on, at most.
        seed: of the calibration crops.
        json: print the figures as JSON instead of tables.
    """
    if not int8:
        raise UsageError("debug wants to know what to debug: give --int8, the only choice so far")
    if html is not None:
        check_page(html, "edgesr/debug/")
    if observer is not None:
        check_observer(observer)

    from edgesr.cli.console import out, say
    from edgesr.debug.crops import worst_crops
    from edgesr.debug.debugger import DebugRequest, debug_run
    from edgesr.debug.page import html as page
    from edgesr.debug.remedies import verdict
    from edgesr.debug.report import report
    from edgesr.files import write_json, write_text

    say(f"debugging {run} in int8")
    request = DebugRequest(
        data=data,
        calibration=calibration,
        observer=observer,
        crops=crops,
        seed=seed,
        model=model,
        scale=scale,
    )
    with ticking("probing") as start:
        found = debug_run(run, request, start=start)
    worst = worst_crops(found.probed.floats, found.probed.int8s, count=_PLACES)
    document = report(found, worst)
    if html is not None:
        write_text(html, page(found, worst))
        write_json(html.with_suffix(".json"), document)
    if json:
        out.print_json(data=document)
        return
    out.print(_totals(found))
    out.print(_ranking(found))
    out.print(f"{verdict(found.probed.probe)}.", markup=False, soft_wrap=True)
    for path in (html, html.with_suffix(".json")) if html is not None else ():
        out.print(f"{path}  {path.stat().st_size:,} bytes", markup=False, soft_wrap=True)


def _totals(found: "Debugging") -> "Table":
    from rich.table import Table

    totals = found.probed.probe.totals
    red, green, blue = totals.colour_bias
    banding = totals.banding
    contours = (
        f"{banding.excess:+.3f} grey levels (int8 {banding.int8:.3f}, float {banding.float_:.3f})"
        if banding.smooth
        else "no smooth area in these images"
    )
    ranges = "trained" if found.observer is None else f"{found.observer} on {found.source}"
    rows = [
        (
            "PSNR to float",
            f"{totals.psnr:.2f} dB; 8 bits allow {totals.psnr_ceiling:.2f} dB at most",
        ),
        ("largest error", f"{totals.max_error:.1f} grey levels"),
        ("colour bias to float", f"R {red:+.3f} G {green:+.3f} B {blue:+.3f} grey levels"),
        ("banding over float", contours),
        ("compared on", f"{len(found.crops)} crops ({found.held_out_source})"),
        ("ranges", ranges),
        ("time", ", ".join(f"{stage} {took:.2f} s" for stage, took in found.seconds.items())),
    ]
    if found.psnr_to_origin is not None:
        rows.insert(1, ("PSNR to the float network before", f"{found.psnr_to_origin:.2f} dB"))
    name = f"{found.loaded.descriptor.name} x{found.loaded.scale} {found.quantized.scheme}"
    table = Table(title=name, show_header=False)
    for what, text in rows:
        table.add_row(what, text)
    return table


def _ranking(found: "Debugging") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from edgesr.debug.page import label, number, signed
    from edgesr.debug.remedies import remedy

    suspects = [one for one in found.probed.probe.suspects if not one.fixed]
    title = "PSNR gained if it alone is kept in float"
    if len(suspects) > _ROWS:
        title += f" (first {_ROWS} of {len(suspects)})"
    table = Table(title=title)
    table.add_column("", justify="right")
    table.add_column("kept in float", overflow="fold")
    for heading in ("gain dB", "SQNR dB"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("remedy", overflow="fold")
    for rank, one in enumerate(suspects[:_ROWS], start=1):
        table.add_row(
            str(rank),
            Text(label(one)),
            signed(one.gain_db),
            number(one.sqnr_db, 1),
            Text(remedy(one).text),
        )
    return table
