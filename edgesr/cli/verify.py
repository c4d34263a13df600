"""``edgesr verify``: is a file what its integer simulation says, on every kernel family?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import GateError, UsageError

if TYPE_CHECKING:
    from edgesr.export.op_check import OpResult
    from edgesr.export.parity import Picture
    from edgesr.litert import Kernels

Flag = Annotated[bool, Parameter(negative="")]
Families = list[Literal["xnnpack", "builtin", "reference"]]
_SPEED_SHAPE = (360, 640)


def verify(  # noqa: PLR0913 - one parameter a flag
    model: Path | None = None,
    *,
    images: Annotated[list[Path] | None, Parameter(negative="", consume_multiple=True)] = None,
    kernels: Annotated[Families | None, Parameter(negative="", consume_multiple=True)] = None,
    replay: Path | None = None,
    ops: Flag = False,
    values: Annotated[int, Parameter(validator=Number(gte=1))] = 1_000_000,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    results: Path | None = None,
    docs: Path | None = None,
    json: Flag = False,
) -> None:
    """Compare an int8 file with its integer simulation, value for value, and certify it.

    Writes model.certificate.json and model.vectors.npz beside the file. A file of a denoiser's
    steps is compared signature by signature and in whole trajectories, and needs no vectors. Exit
    code 1 when a value differs.

    Args:
        model: the .tflite file.
        images: files or folders to compare on; default are made pictures.
        kernels: kernel families; default is all three.
        replay: certificate whose vectors to run again, on this machine.
        ops: check the simulation of every single operation on random files instead.
        values: output values per operation and family with --ops.
        seed: of the random files.
        results: JSON file to write with --ops, or to read for --docs.
        docs: page to write from the results.
        json: print JSON instead of text.
    """
    chosen = tuple(kernels or ("xnnpack", "builtin", "reference"))
    if ops or docs:
        if replay or images or model:
            raise UsageError("--ops and --docs need no model, images or certificate; drop those")
        _operations(chosen if ops else None, values, seed, results=results, docs=docs, json=json)
    elif replay:
        _replay(replay, model, None if kernels is None else chosen, json=json)
    elif model is None:
        raise UsageError("name a .tflite file, or give --replay or --ops")
    else:
        _model(model, images, chosen, json=json)


def _model(
    model: Path, images: list[Path] | None, kernels: "tuple[Kernels, ...]", *, json: bool
) -> None:
    from edgesr.bench.environment import environment
    from edgesr.cli.console import out
    from edgesr.export.certificate import certify
    from edgesr.upscalers.step_schedule import read_schedule

    if read_schedule(model) is not None:
        _steps(model, images, kernels, json=json)
        return
    found = certify(
        model,
        environment=environment(),
        pictures=None if images is None else _pictures(images),
        families=kernels,
    )
    if json:
        out.print_json(found.certificate.read_text(encoding="utf-8"))
    else:
        for one in found.results:
            line = (
                f"{one.kernels}: {one.mismatches} of {one.values:,} values differ, "
                f"{one.images} images"
            )
            out.print(line, markup=False, soft_wrap=True)
        for path in (found.certificate, found.vectors):
            line = f"{path}  {path.stat().st_size:,} bytes"
            out.print(line, markup=False, soft_wrap=True)
    if found.mismatches:
        worst = max(found.results, key=lambda one: one.mismatches)
        raise GateError(
            f"{model}: file and simulation differ in {found.mismatches} values "
            f"({worst.kernels}: up to {worst.max_error} codes); see {found.certificate.name}"
        )


def _steps(
    model: Path, images: list[Path] | None, kernels: "tuple[Kernels, ...]", *, json: bool
) -> None:
    from edgesr.bench.environment import environment
    from edgesr.cli.console import out
    from edgesr.export.step_certificate import certify_steps

    found = certify_steps(
        model,
        environment=environment(),
        pictures=None if images is None else _pictures(images),
        families=kernels,
    )
    parity = found.parity
    if json:
        out.print_json(found.certificate.read_text(encoding="utf-8"))
    else:
        lines = [
            f"{one.kernels}, {one.signature}: {one.mismatches} of {one.values:,} codes differ"
            for one in parity.signatures
        ]
        lines += [
            f"{one.kernels}, {one.sampler} trajectory: {one.mismatches} of {one.values:,} grey "
            f"levels differ, {one.code_mismatches} codes on the way"
            for one in parity.trajectories
        ]
        size = found.certificate.stat().st_size
        for line in [*lines, f"{found.certificate}  {size:,} bytes"]:
            out.print(line, markup=False, soft_wrap=True)
    if parity.mismatches:
        raise GateError(
            f"{model}: file and simulation differ in {parity.mismatches} values; see "
            f"{found.certificate.name}"
        )


def _replay(
    certificate: Path, model: Path | None, kernels: "tuple[Kernels, ...] | None", *, json: bool
) -> None:
    from edgesr.cli.console import out
    from edgesr.export.certificate import replay
    from edgesr.export.step_certificate import is_step_certificate, replay_steps

    again = replay_steps if is_step_certificate(certificate) else replay
    found = again(certificate, model=model, families=kernels)
    if json:
        out.print_json(
            data={
                "schema": "edgesr/replay/1",
                "model": str(found.model),
                "kernels": list(found.kernels),
                "vectors": found.vectors,
                "values": found.values,
                "same": True,
            }
        )
        return
    line = (
        f"{found.model}: all {found.values:,} values are as {certificate.name} promises "
        f"({', '.join(found.kernels)}; {found.vectors} inputs; made with {found.litert})"
    )
    out.print(line, markup=False, soft_wrap=True)


def _operations(  # noqa: PLR0913 - the flags of --ops
    kernels: "tuple[Kernels, ...] | None",
    values: int,
    seed: int,
    *,
    results: Path | None,
    docs: Path | None,
    json: bool,
) -> None:
    from edgesr.cli.console import out
    from edgesr.export.exactness_page import exactness_page, read_results
    from edgesr.files import write_json, write_text

    if kernels is None and results is None:
        raise UsageError("--docs is made from --results; name that file, or measure with --ops")
    if kernels is not None:
        document, failed = _measured(kernels, values, seed, speed=results is not None)
        if results:
            write_json(results, document)
        if json:
            out.print_json(data=document)
    else:
        document, failed = read_results(results or Path()), []
    if docs:
        write_text(docs, exactness_page(document))
        out.print(str(docs), markup=False, soft_wrap=True)
    if failed:
        names = ", ".join(f"{one.op} on {one.kernels}" for one in failed)
        raise GateError(f"{len(failed)} operations are not exact: {names}")


def _measured(
    kernels: "tuple[Kernels, ...]", values: int, seed: int, *, speed: bool
) -> "tuple[dict[str, Any], list[OpResult]]":
    from edgesr.bench.environment import environment
    from edgesr.cli.console import say
    from edgesr.export.op_cases_more import CASES
    from edgesr.export.op_check import check_op, to_json

    found: list[OpResult] = []
    for op in CASES:
        rows = check_op(op, values=values, seed=seed, families=kernels)
        found += rows
        differing = ", ".join(f"{one.kernels} {one.mismatches}" for one in rows)
        say(f"{op}: {rows[0].values:,} values in {rows[0].cases} files; differing: {differing}")
    document = to_json(
        found,
        seed=seed,
        environment=environment(),
        speed=_speed(kernels) if speed else None,
    )
    return document, [one for one in found if not one.passed]


def _speed(kernels: "tuple[Kernels, ...]") -> "dict[str, Any]":
    from edgesr.export.speed import simulation_speed
    from edgesr.models.checkpoint import load_model
    from edgesr.zoo import DEFAULT, ZOO

    entry = ZOO[DEFAULT]
    module = load_model(entry.weights).module
    return simulation_speed(
        entry.tflite, module, name=entry.name, shape=_SPEED_SHAPE, families=kernels
    )


def _pictures(paths: list[Path]) -> "list[Picture]":
    from edgesr.export.parity import Picture
    from edgesr.images import list_images, read_image

    files: list[Path] = []
    for path in paths:
        files += list_images(path) if path.is_dir() else [path]
    return [Picture(name=path.name, pixels=read_image(path)) for path in files]
