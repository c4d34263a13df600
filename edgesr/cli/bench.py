"""``edgesr bench``: time models, or the training step, against each other in one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import DataError, UsageError

if TYPE_CHECKING:
    from edgesr.bench.inference import Request

RuntimeName = Literal[
    "xnnpack", "builtin", "reference", "onnxruntime", "torch", "torch-cuda", "packed"
]

_TRAINING_BATCH = 16


def bench(  # noqa: PLR0913 - one parameter a flag
    *models: Path,
    training: Annotated[bool, Parameter(negative="")] = False,
    denoisers: Annotated[bool, Parameter(negative="")] = False,
    suite: str | None = None,
    compare: Annotated[tuple[Path, Path] | None, Parameter(negative="")] = None,
    shape: str | None = None,
    threads: Annotated[list[int] | None, Parameter(negative="")] = None,
    runtime: Annotated[list[RuntimeName] | None, Parameter(negative="")] = None,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 15,
    steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    memory: bool = True,
    profile: Annotated[bool, Parameter(negative="")] = False,
    data: Path | None = None,
    lr: Path | None = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Time contenders that take turns; the first one is the measure of the others.

    Args:
        models: .tflite, .esb, .onnx, .safetensors or .pth files, run folders or shipped models; a
            diffusion denoiser, whether float, INT8 or of one bit, is sampled with all its steps.
            Default is the shipped INT8 NCNet against its float32 export.
        training: time the NCNet x3 training step instead, against plain ways to write it.
        denoisers: time one float32 step of the x4 diffusion denoisers instead, against SR3's UNet;
            the default --shape is 64x64, and a repetition takes seconds.
        suite: also measure quality on this suite's images, and place the models among its
            published baselines.
        compare: two results of an earlier `--json`; nothing is measured.
        shape: height x width of the low-resolution image; default is the suite's, else 360x640.
        threads: CPU threads; may be repeated. Default is 1.
        runtime: what runs the files; may be repeated. Default is the first that fits each file.
        repeats: counted repetitions of each contender.
        steps: of the diffusion denoisers among the models, default is what they name; with
            --denoisers, how many an image takes, default is 4.
        memory: try each file in a process of its own first, which also measures its memory.
        profile: also time each operator of the .tflite files.
        data: folder with the suite's images, where they are not where `edgesr data` puts them.
        lr: folder of the suite's low-resolution images, where it lies elsewhere.
        limit: only the first so many images of the suite.
        output: also write the JSON document to this file.
        json: print one JSON document with every repetition and the environment.
    """
    from edgesr.cli import bench_tables
    from edgesr.cli.console import out, say
    from edgesr.cli.shapes import parse_shape
    from edgesr.files import write_json

    if compare is not None:
        _compare(compare[0], compare[1], output=output, json=json)
        return
    counts = threads or [1]
    if min(counts) < 1:
        raise UsageError(f"--threads {min(counts)}: want 1 or more")
    _refuse_mixed(training=training, denoisers=denoisers, files=bool(models or suite))
    if steps is not None and not denoisers and not _any_sampled(models):
        raise UsageError("--steps is for diffusion denoisers, and none was named; drop it")
    if suite is None and (data, lr, limit) != (None, None, None):
        raise UsageError("--data, --lr and --limit are for --suite; name one")
    if training:
        document = _training(counts[0], repeats)
    elif denoisers:
        size = None if shape is None else parse_shape(shape)
        document = _denoisers(size, counts[0], repeats, steps)
    else:
        from edgesr.bench.inference import Request

        request = Request(
            models=_named(models) or _shipped(),
            shape=None if shape is None else parse_shape(shape),
            threads=tuple(counts),
            runtimes=tuple(runtime or ()),
            repeats=repeats,
            steps=steps,
            memory=memory,
            profile=profile,
        )
        document = (
            _inference(request) if suite is None else _suite(request, suite, (data, lr, limit))
        )
    if output is not None:
        write_json(output, document)
        say(f"wrote {output}")
    if json:
        out.print_json(data=document)
    else:
        bench_tables.show(document, samples=_TRAINING_BATCH if training else None)
    failed = document["failures"]
    if failed:
        first = failed[0]
        raise DataError(
            f"{len(failed)} of {len(failed) + len(document['timings'])} contenders failed; "
            f"{first['name']}: {first['reason']}"
        )


def _refuse_mixed(*, training: bool, denoisers: bool, files: bool) -> None:
    if training and files:
        raise UsageError("--training times a training step; drop the models and --suite")
    if denoisers and (training or files):
        raise UsageError("--denoisers times diffusion steps; drop the models, --training, --suite")


def _training(threads: int, repeats: int) -> dict[str, Any]:
    import torch

    from edgesr.bench.results import bench_document
    from edgesr.bench.timing import run_session
    from edgesr.bench.training import training_contenders

    torch.set_num_threads(threads)
    session = run_session(training_contenders(_TRAINING_BATCH), repeats=repeats)
    return bench_document(session, what="training step", shape=None, threads=[threads])


def _denoisers(
    shape: tuple[int, int] | None, threads: int, repeats: int, steps: int | None
) -> dict[str, Any]:
    import torch

    from edgesr.bench.cost_denoiser import DEFAULT_STEPS
    from edgesr.bench.denoisers import DEFAULT_SHAPE, denoiser_contenders, denoiser_costs
    from edgesr.bench.results import bench_document
    from edgesr.bench.timing import run_session

    torch.set_num_threads(threads)
    height, width = shape or DEFAULT_SHAPE
    session = run_session(denoiser_contenders((height, width)), repeats=repeats)
    size = f"{height}x{width}"
    document = bench_document(session, what="denoising step", shape=size, threads=[threads])
    costs = denoiser_costs((height, width), steps=steps or DEFAULT_STEPS)
    for entry in document["timings"]:
        entry["cost"] = costs[entry["name"]]
    return document


def _inference(request: "Request") -> dict[str, Any]:
    from edgesr.bench.inference import measure

    return measure(request)


def _suite(
    request: "Request", suite: str, images: tuple[Path | None, Path | None, int | None]
) -> dict[str, Any]:
    from edgesr.bench.placement import measure_suite
    from edgesr.cli.console import say

    data, lr, limit = images
    return measure_suite(request, suite, data=data, lr=lr, limit=limit, say=say)


def _compare(before: Path, after: Path, *, output: Path | None, json: bool) -> None:
    from edgesr.bench.compare import compare_files, comparison_document
    from edgesr.cli.bench_tables import show_comparison
    from edgesr.cli.console import out
    from edgesr.files import write_json

    comparison = compare_files(before, after)
    document = comparison_document(comparison, before, after)
    if output is not None:
        write_json(output, document)
    if json:
        out.print_json(data=document)
    else:
        show_comparison(comparison, before, after)


def _any_sampled(models: tuple[Path, ...]) -> bool:
    from edgesr.errors import CheckpointError
    from edgesr.upscalers.load import is_sampled

    try:
        return any(map(is_sampled, models))
    except CheckpointError:  # measuring says what is wrong with the file
        return True


def _named(models: tuple[Path, ...]) -> "dict[str, Path | bytes]":
    """Return the files of shipped and pulled networks for their names, and of others themselves."""
    from edgesr.zoo.find import find_entry

    found = {str(path): (path, find_entry(path)) for path in models}
    return {
        name: path if entry is None else entry.intact(entry.runs)
        for name, (path, entry) in found.items()
    }


def _shipped() -> "dict[str, Path | bytes]":
    from edgesr.export.tflite import write_float32
    from edgesr.graph.capture import capture
    from edgesr.graph.passes import lower
    from edgesr.models.checkpoint import load_model
    from edgesr.zoo import DEFAULT, ZOO

    entry = ZOO[DEFAULT]
    loaded = load_model(entry.weights)
    return {
        f"{entry.name} int8": entry.tflite,
        f"{entry.name} float32": write_float32(lower(capture(loaded.module, name=entry.model))),
    }
