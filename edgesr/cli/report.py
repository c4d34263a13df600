"""``edgesr report``: results as one HTML page, and as Markdown and CSV."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import UsageError

if TYPE_CHECKING:
    from edgesr.bench.crops import CropRow
    from edgesr.bench.report_data import ReportData


def report(  # noqa: PLR0913 - one parameter a flag
    *results: Path,
    to: Annotated[Path, Parameter(name=["--to", "-o"])] = Path("report.html"),
    markdown: Annotated[bool, Parameter(negative="")] = False,
    csv: Annotated[bool, Parameter(negative="")] = False,
    data: Path | None = None,
    lr: Path | None = None,
    crops: Annotated[int, Parameter(validator=Number(gte=0))] = 6,
    protocol: str | None = None,
    baselines: Annotated[list[str] | None, Parameter(negative="")] = None,
    title: str = "edgesr report",
) -> None:
    """Join results of `bench`, `eval`, `export` and `cost` into one page without script or network.

    Args:
        results: JSON files of these commands.
        to: the page; ends in .html.
        markdown: also write the tables as Markdown, beside the page.
        csv: also write one line for each model, image and protocol, beside the page.
        data: folder of the images, to cut out the worst places.
        lr: folder of the low-resolution images, where it lies elsewhere.
        crops: images to cut from.
        protocol: which one to lead with; default is the first in the results.
        baselines: published tables to add to those in the results; may be repeated.
        title: of the page.
    """
    from edgesr.bench import report_text
    from edgesr.bench.baselines import load_baselines
    from edgesr.bench.page import html
    from edgesr.bench.placement import baseline_row
    from edgesr.bench.report_data import collect
    from edgesr.cli.console import out
    from edgesr.files import write_text

    if not results:
        raise UsageError("no results; name JSON files of bench, eval, export or cost")
    if to.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--to {to}: want a name that ends in .html")
    added = [baseline_row(row) for name in baselines or () for row in load_baselines(name)]
    found = collect(results, protocol=protocol, baselines=added)
    rows, notes = _crops(found, data, lr, crops)
    pages = {to: html(found, title=title, crops=rows, notes=notes)}
    if markdown:
        pages[to.with_suffix(".md")] = report_text.markdown(found, title=title)
    if csv:
        pages[to.with_suffix(".csv")] = report_text.comma_separated(found)
    for path, text in pages.items():
        write_text(path, text)
        out.print(f"{path} ({len(text.encode()) / 1024:.0f} KiB)", markup=False, soft_wrap=True)


def _crops(
    found: "ReportData", data: Path | None, lr: Path | None, count: int
) -> "tuple[tuple[CropRow, ...], tuple[str, ...]]":
    from edgesr.bench.crops import crop_rows
    from edgesr.data.layouts import find_dataset

    scales = {model.scale for model in found.models if model.images and model.scale is not None}
    if count == 0 or not scales:
        return (), ()
    if data is None:
        return (), ("No pictures: give --data with the folder of the images.",)
    if len(scales) > 1:
        return (), ("No pictures: the models have different scales.",)
    dataset = find_dataset(data, scales.pop(), lr_root=lr)
    return crop_rows(found, dataset, count=count)
