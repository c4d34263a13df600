"""``edgesr bench``: time models, or the training step, against each other in one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from edgesr.bench.timing import Timing, Work

_TRAINING_BATCH = 16


def bench(
    *models: Path,
    training: Annotated[bool, Parameter(negative="")] = False,
    shape: str = "360x640",
    threads: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 15,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Time contenders that take turns; the first one is the measure of the others.

    Args:
        models: .tflite files; default is the shipped INT8 NCNet against its float32 export.
        training: time the NCNet x3 training step instead, against plain ways to write it.
        shape: height x width of the low-resolution image.
        threads: CPU threads.
        repeats: counted repetitions of each contender.
        json: print one JSON document with every repetition and the environment.
    """
    from edgesr.bench.timing import interleave
    from edgesr.cli.console import out

    contenders = _training(threads) if training else _inference(models, shape, threads)
    timings = interleave(contenders, repeats=repeats)
    if json:
        out.print_json(data=_document(timings, shape, threads, training=training))
        return
    out.print(_table(timings, samples=_TRAINING_BATCH if training else None))
    out.print(_about(shape, threads, repeats, training=training), markup=False, soft_wrap=True)


def _training(threads: int) -> "Mapping[str, Work]":
    import torch

    from edgesr.bench.training import training_contenders

    torch.set_num_threads(threads)
    return training_contenders(_TRAINING_BATCH)


def _inference(models: "Sequence[Path]", shape: str, threads: int) -> "Mapping[str, Work]":
    from edgesr.bench.inference import inference_contenders
    from edgesr.cli.shapes import parse_shape

    size = parse_shape(shape)
    files: dict[str, Path | bytes] = {str(path): path for path in models}
    return inference_contenders(files or _shipped(), shape=size, threads=threads)


def _shipped() -> "dict[str, Path | bytes]":
    from edgesr.export.tflite import write_float32
    from edgesr.graph.capture import capture
    from edgesr.models.checkpoint import load_model
    from edgesr.zoo import DEFAULT, ZOO

    entry = ZOO[DEFAULT]
    loaded = load_model(entry.weights)
    return {
        f"{entry.name} int8": entry.tflite,
        f"{entry.name} float32": write_float32(capture(loaded.module, name=entry.model)),
    }


def _table(timings: "Sequence[Timing]", *, samples: int | None) -> "Table":
    from rich.table import Table

    from edgesr.bench.timing import ratio

    table = Table()
    table.add_column("contender")
    rate = "samples/s" if samples else "images/s"
    for title in ("median ms", "min ms", "CPU ms", rate, "time ratio (quartiles)"):
        table.add_column(title, justify="right")
    for timing in timings:
        against = ratio(timing, timings[0])
        table.add_row(
            timing.name,
            f"{timing.median_ms:.1f}",
            f"{timing.min_ms:.1f}",
            f"{min(timing.cpu_ms):.1f}",
            f"{1e3 * (samples or 1) / timing.median_ms:.1f}",
            f"{against.median:.2f} ({against.low:.2f}-{against.high:.2f})",
        )
    return table


def _about(shape: str, threads: int, repeats: int, *, training: bool) -> str:
    from edgesr.bench.environment import environment

    facts = environment()
    versions = ", ".join(f"{name} {found}" for name, found in facts["packages"].items())
    what = f"batch {_TRAINING_BATCH}, LR patch 64" if training else f"input {shape}"
    return (
        f"{what}, {threads} thread(s), {repeats} interleaved repetitions; {facts['cpu']} "
        f"({facts['cores']} cores, load {facts['load_1min']}); {versions}"
    )


def _document(
    timings: "Sequence[Timing]", shape: str, threads: int, *, training: bool
) -> dict[str, Any]:
    from dataclasses import asdict

    from edgesr.bench.environment import environment

    return {
        "schema": "edgesr/bench/1",
        "what": "training step" if training else "inference",
        "shape": None if training else shape,
        "threads": threads,
        "environment": environment(),
        "timings": [{**asdict(t), "median_ms": t.median_ms} for t in timings],
    }
