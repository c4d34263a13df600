"""``edgesr diffusion``: denoisers at several numbers of steps, beside other networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table

    from edgesr.bench.diffusion import Candidate, Settings
    from edgesr.data.layouts import Dataset

_USUAL_SCALE = 4


def diffusion(  # noqa: PLR0913 - one parameter a flag
    *sources: str,
    data: Annotated[list[Path] | None, Parameter(negative="")] = None,
    lr: Annotated[list[Path] | None, Parameter(negative="")] = None,
    steps: Annotated[list[int] | None, Parameter(negative="")] = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    seeds: Annotated[int, Parameter(validator=Number(gte=1))] = 4,
    sampler: str = "ddim",
    scale: Annotated[int | None, Parameter(name=["--scale", "-s"])] = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    threads: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    results: Annotated[list[Path] | None, Parameter(negative="")] = None,
    docs: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Compare diffusion denoisers at several numbers of steps with bicubic and other networks.

    Measures PSNR and SSIM on the luma, the perceptual metrics that need no weights, and how much
    the seed decides. With --results a measurement can be interrupted: every row is written when it
    is done, and the next call goes on from there.

    Args:
        sources: denoisers and other networks: weights files, run folders, .tflite files or shipped
            models (their float weights); NAME=SOURCE gives a name for the table. None writes
            --docs from --results. Bicubic interpolation is always measured.
        data: folder of images; may be repeated.
        lr: folder of low-resolution images for each --data, in the same order; default are those
            that are found beside it, or made.
        steps: evaluations of every denoiser that is not distilled; may be repeated. Default is all
            of its path, what it takes where none is asked for, and 1.
        seed: of the noise.
        seeds: how many seeds the diversity is measured over; 1 leaves it out.
        sampler: ddim, ancestral, dpm_solver_2m, sa_solver, mrs_ode or mrs_sde.
        scale: upscaling factor, where no source names its own.
        limit: only the first so many images of every folder.
        threads: CPU threads; default is all.
        results: file for the figures (JSON), gone on with where it exists; without SOURCES, files
            to read, may be repeated.
        docs: page (Markdown) whose results are to be replaced by those of --results, among them
            times of `edgesr bench --denoisers`.
        json: print the figures as JSON instead of tables.
    """
    if not sources:
        _write_page(results or [], docs)
        return
    if docs is not None or len(results or []) > 1:
        raise UsageError("--docs and several --results are for results that are there; drop MODELS")
    folders = data or []
    _check(folders, lr, steps or [])
    from edgesr.bench.diffusion import SCHEMA, Settings, new_document
    from edgesr.bench.results import read_document
    from edgesr.cli.console import out
    from edgesr.files import write_json

    settings = Settings(seed=seed, seeds=seeds, sampler=sampler, limit=limit)
    listed = _candidates(sources, steps or (), scale)
    datasets = _datasets(folders, lr or [None] * len(folders), listed[0].scale)
    target = results[0] if results else None
    previous = read_document(target, {SCHEMA}) if target is not None and target.exists() else None
    document = new_document(settings, datasets, previous=previous)
    for grown in _measured(document, listed, datasets, settings, threads):
        document = grown
        if target is not None:
            write_json(target, document)
    if json:
        out.print_json(data=document)
        return
    for name in datasets:
        rows = [row for row in document["rows"] if row["set"] == name]
        out.print(_table(f"{name} x{document['scale']}", rows))
        _say_findings(rows)


def _check(data: list[Path], lr: list[Path] | None, steps: list[int]) -> None:
    if not data:
        raise UsageError("no images; name a folder with --data")
    if lr and len(lr) != len(data):
        raise UsageError(f"{len(lr)} --lr for {len(data)} --data; give one for each, or none")
    if min(steps, default=1) < 1:
        raise UsageError(f"--steps {min(steps)}: want 1 or more")


def _write_page(results: list[Path], docs: Path | None) -> None:
    if docs is None or not results:
        raise UsageError("name models to measure, or --results and --docs to write the page")

    from edgesr.bench import denoiser_times
    from edgesr.bench.diffusion import SCHEMA
    from edgesr.bench.diffusion_page import results_section, with_section
    from edgesr.bench.results import BENCH_SCHEMA, read_document
    from edgesr.errors import DataError
    from edgesr.files import write_text

    documents = {path: read_document(path, {SCHEMA, BENCH_SCHEMA}) for path in results}
    compared = [one for one in documents.values() if one["schema"] == SCHEMA]
    timed = [path for path, one in documents.items() if one["schema"] == BENCH_SCHEMA]
    if len(timed) > 1:
        names = " and ".join(map(str, timed))
        raise UsageError(f"{names}: the page has one table of times; name one of them")
    try:
        page = docs.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{docs}: cannot be read ({error}); name the page to write into") from error
    if compared:
        page = with_section(page, results_section(compared), str(docs))
    marks = denoiser_times.START, denoiser_times.END
    for path in timed:
        section = denoiser_times.times_section(documents[path], str(path))
        page = with_section(page, section, str(docs), marks=marks)
    write_text(docs, page)


def _candidates(
    sources: "Sequence[str]", steps: "Sequence[int]", scale: int | None
) -> "list[Candidate]":
    from edgesr.bench.diffusion import BICUBIC, candidates

    found: list[Candidate] = []
    for text in sources:
        name, source = _named(text)
        if source != BICUBIC:
            found += candidates(name, source, steps=steps, scale=scale)
    names = [(one.name, one.steps) for one in found]
    twice = next((name for name, _ in names if names.count((name, _)) > 1), None)
    if twice is not None:
        raise UsageError(f"two models are called {twice}; tell them apart with NAME=SOURCE")
    scales = sorted({one.scale for one in found}) or [scale or _USUAL_SCALE]
    if len(scales) > 1:
        listed = ", ".join(f"{one.name} x{one.scale}" for one in found)
        raise UsageError(f"cannot compare different scales ({listed}); measure them apart")
    if steps and all(one.steps is None for one in found):
        raise UsageError(f"{', '.join(sources)}: no diffusion denoiser among them; drop --steps")
    return [*candidates(BICUBIC, BICUBIC, scale=scales[0]), *found]


def _named(text: str) -> "tuple[str, Path | str]":
    """Return what the table calls a source, and the source; shipped models by float weights."""
    from edgesr.bench.diffusion import BICUBIC
    from edgesr.zoo import ZOO

    given, equals, source = text.partition("=")
    if not equals or "/" in given:
        given, source = "", text
    if source in ZOO or source == BICUBIC:
        return given or source, ZOO[source].weights if source in ZOO else source
    path = Path(source)
    plain = path.stem if path.suffix else path.name
    if plain in {"best", "last"}:
        plain = f"{path.resolve().parent.name} {plain}"
    return given or plain, path


def _datasets(
    data: "Sequence[Path]", lr: "Sequence[Path | None]", scale: int
) -> "dict[str, Dataset]":
    from edgesr.data.layouts import find_dataset

    pairs = zip(data, lr, strict=True)
    found = {high.resolve().name: find_dataset(high, scale, lr_root=low) for high, low in pairs}
    if len(found) < len(data):
        raise UsageError("two --data folders have one name; rename one or measure them apart")
    return found


def _measured(
    document: "dict[str, Any]",
    listed: "Sequence[Candidate]",
    datasets: "Mapping[str, Dataset]",
    settings: "Settings",
    threads: int | None,
) -> "Iterator[dict[str, Any]]":
    """Yield the document after every row that was not in it."""
    from edgesr.bench.diffusion import is_measured, measure, with_row
    from edgesr.bench.environment import environment
    from edgesr.cli.console import say

    about = environment()
    for name, dataset in datasets.items():
        for one in listed:
            steps = "" if one.steps is None else f", {one.steps} step{'s' * (one.steps != 1)}"
            if is_measured(document, one, name):
                say(f"{name}: {one.name}{steps}: in the results already")
                continue
            say(f"{name}: {one.name}{steps}")
            row = measure(one, dataset, settings, threads=threads)
            document = with_row(document, {"set": name, **row}, about)
            yield document


def _table(title: str, rows: "Sequence[Mapping[str, Any]]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from edgesr.bench.diffusion_page import table_cells

    heads, lines = table_cells(rows)
    table = Table(title=title)
    table.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        table.add_column(head.replace(" ", "\n"), justify="right")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def _say_findings(rows: "Sequence[Mapping[str, Any]]") -> None:
    from edgesr.bench.diffusion_page import findings
    from edgesr.cli.console import out

    for sentence in findings(rows):
        out.print(sentence.replace("`", ""), markup=False, soft_wrap=True)
