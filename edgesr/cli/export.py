"""``edgesr export``: a checkpoint becomes a .tflite file that was verified by running it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.cli.shapes import parse_shape
from edgesr.errors import GateError, UsageError
from edgesr.export.challenge import CHALLENGE_FILES

if TYPE_CHECKING:
    from rich.table import Table

    from edgesr.export.pipeline import Export

Flag = Annotated[bool, Parameter(negative="")]
Precision = Literal[
    "int8", "int16x8", "float16", "weight_int8", "weight_int4", "dynamic_int8", "float32"
]
Io = Literal["int8", "uint8", "float32"]
_WITH_IO = ("int8", "int16x8")


def export(  # noqa: PLR0913 - one parameter a flag
    output: Path,
    /,
    *,
    precision: Annotated[Precision | None, Parameter(name=["--precision", "-p"])] = None,
    int8: Flag = False,
    float32: Flag = False,
    checkpoint: Path | None = None,
    model: Annotated[str | None, Parameter(name=["--model", "-n"])] = None,
    scale: Annotated[int | None, Parameter(name=["--scale", "-s"])] = None,
    calibration: Path | None = None,
    data: Path | None = None,
    io: Io | None = None,
    shape: str | None = None,
    challenge: Flag = False,
    binary: Flag = False,
    target: str | None = None,
    steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    max_drop: Annotated[float, Parameter(validator=Number(gte=0))] = 0.1,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    json: Flag = False,
) -> None:
    """Write a .tflite file, verify it by running it, and put a report beside it.

    A diffusion denoiser becomes one file with a signature for each of its steps, and one for the
    network that makes its centre where it has one, in int8 or float32, and a schedule by which a
    host runs them.

    Args:
        output: file to write, such as model.tflite; the report is model.json.
        precision: int8 (default), all integers of 8 bits; int16x8, activations of 16 bits;
            float16, weight_int8, weight_int4: weights stored so, computed in float32;
            dynamic_int8: int8 weights, activations quantized as they come; float32.
        int8: short for --precision int8.
        float32: short for --precision float32.
        checkpoint: weights file, run folder or shipped network; default is the newest run.
        model: network, where the checkpoint does not name it.
        scale: upscaling factor, where the checkpoint does not name it.
        calibration: folder of training images that set the ranges; default are the training images
            of the run.
        data: folder of images to verify with; default are those that the run held out.
        io: numbers in and out of an int8 or int16x8 file; default is int8.
        shape: the only input size as HEIGHTxWIDTH, such as 360x640; default is every size.
        challenge: also write the Mobile AI triplet model.tflite, model_none.tflite and
            model_none_float.tflite beside the file.
        binary: write a denoiser whose convolutions have one bit as packed bits, to model.esb; of
            the other flags only --checkpoint, --model, --scale and --json have a meaning then.
        target: lint for it before the file is put into place, as edgesr lint does: nnapi, nnapi-4,
            xnnpack, litert-gpu, ethos-u, hexagon, cpu or a TOML file.
        steps: of a diffusion denoiser: how many steps get a signature; default is as many as it is
            sampled in.
        max_drop: largest loss of PSNR against the float network in dB.
        seed: of the calibration crops, and of a denoiser's noise.
        json: print the report as JSON instead of a table.
    """
    if binary:
        from edgesr.cli.export_binary import export_packed

        given = (precision, int8, float32, calibration, data, io, shape, challenge, target, steps)
        if any(one not in {None, False} for one in given):
            raise UsageError("--binary goes with --checkpoint, --model, --scale and --json alone")
        export_packed(output, checkpoint, model=model, scale=scale, json=json)
        return
    chosen = _precision(precision, int8=int8, float32=float32)
    _check_flags(chosen, io=io, challenge=challenge)
    size = None if shape is None else parse_shape(shape)
    _check_output(output, challenge=challenge)

    from edgesr.cli.console import out, say
    from edgesr.cli.lint import export_linted
    from edgesr.export.pipeline import ExportRequest, export_model, write_challenge_files
    from edgesr.export.report import report
    from edgesr.models.checkpoint import is_denoiser, newest_run
    from edgesr.models.quantized import load_exportable
    from edgesr.zoo.find import find_weights

    source = find_weights(checkpoint) if checkpoint else newest_run()
    if is_denoiser(source) or _is_named_denoiser(source):
        from edgesr.cli.export_steps import export_denoiser
        from edgesr.export.step_pipeline import StepRequest

        _check_denoiser(source, io=io, challenge=challenge)
        denoiser = StepRequest(
            output=output,
            precision=chosen,
            steps=steps,
            shape=size,
            calibration=calibration,
            held_out=data,
            max_drop=max_drop,
            seed=seed,
        )
        export_denoiser(source, denoiser, model=model, scale=scale, json=json)
        return
    if steps is not None:
        raise UsageError(f"{source}: is no diffusion denoiser and has no steps; drop --steps")
    loaded, trained = load_exportable(source, model=model, scale=scale)
    say(f"exporting {loaded.path} ({loaded.descriptor.name} x{loaded.scale})")
    request = ExportRequest(
        output=output,
        precision=chosen,
        io=io,
        shape=size,
        calibration=calibration,
        held_out=data,
        max_drop=max_drop,
        seed=seed,
    )
    if target is None:
        result = export_model(loaded, request, trained)
    else:
        result = export_linted(loaded, request, trained, target)
    for warning in result.warnings:
        say(f"warning: {warning}")
    written = [output, *(write_challenge_files(result) if challenge else [])]
    if result.network.quantized is not None:
        written += _certified(output)
    if json:
        out.print_json(data=report(result))
    else:
        out.print(_table(result))
        for path in written:
            out.print(f"{path}  {path.stat().st_size:,} bytes", markup=False, soft_wrap=True)


def _certified(output: Path) -> list[Path]:
    from edgesr.bench.environment import environment
    from edgesr.export.certificate import certify

    found = certify(output, environment=environment())
    if found.mismatches:
        counts = ", ".join(f"{one.kernels} {one.mismatches}" for one in found.results)
        raise GateError(f"{output}: file and simulation differ ({counts} values), want 0")
    return [found.certificate, found.vectors]


def _precision(precision: Precision | None, *, int8: bool, float32: bool) -> Precision:
    given = [
        flag
        for flag, is_given in {
            "--precision": precision is not None,
            "--int8": int8,
            "--float32": float32,
        }.items()
        if is_given
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other; give one")
    return precision or ("float32" if float32 else "int8")


def _check_flags(precision: Precision, *, io: Io | None, challenge: bool) -> None:
    if io is not None and precision not in _WITH_IO:
        raise UsageError(
            f"--io is for {' and '.join(_WITH_IO)} files; a {precision} file has float32 input "
            "and output"
        )
    if challenge and precision != "int8":
        raise UsageError(f"--challenge is for int8 files; drop it or {precision}")


def _is_named_denoiser(source: Path) -> bool:
    """Tell whether a file without schedule is of a denoiser; loading it says what it lacks."""
    from edgesr.models.checkpoint import read_weights, weights_file
    from edgesr.models.denoisers import DENOISERS

    return read_weights(weights_file(source))[1].get("model") in DENOISERS


def _check_denoiser(source: Path, *, io: Io | None, challenge: bool) -> None:
    if challenge or io not in {None, "int8"}:
        raise UsageError(
            f"{source}: is a diffusion denoiser, whose host feeds int8 codes; drop --io and "
            "--challenge"
        )


def _check_output(output: Path, *, challenge: bool) -> None:
    if output.suffix != ".tflite":
        raise UsageError(f"{output}: want a file name that ends in .tflite")
    if challenge and output.name in CHALLENGE_FILES:
        raise UsageError(
            f"{output.name}: --challenge writes a file of that name; choose another output"
        )


def _table(result: "Export") -> "Table":
    from rich.table import Table

    fidelity, constants = result.fidelity, result.constants
    red, green, blue = fidelity.colour_bias
    rows = [
        ("operators", _operators(result)),
        ("calibrated on", _calibration(result)),
        ("verified on", f"{fidelity.images} images ({result.choice.held_out_source})"),
    ]
    if fidelity.mismatches is not None:
        rows.append(
            (
                "LiteRT against simulation",
                f"{fidelity.mismatches} of {fidelity.values:,} values differ",
            )
        )
    rows += [
        (
            "PSNR to the float network",
            f"{fidelity.psnr_to_float:.2f} dB, worst image {fidelity.worst_to_float:.2f} dB",
        ),
        (
            "PSNR to HR (mai: RGB)",
            (
                f"{fidelity.psnr_file:.3f} dB, float {fidelity.psnr_reference:.3f}, "
                f"drop {fidelity.drop:+.3f} (limit {result.request.max_drop:g})"
            ),
        ),
        ("colour bias to float", f"R {red:+.3f} G {green:+.3f} B {blue:+.3f} grey levels"),
        (
            "grey levels kept exactly",
            (
                f"{constants.exact} of 256, off by {constants.max_error} at most "
                f"(float {constants.exact_float}, {constants.max_error_float})"
            ),
        ),
        ("time", ", ".join(f"{stage} {took:.2f} s" for stage, took in result.seconds.items())),
    ]
    table = Table(title=result.request.output.name, show_header=False)
    for name, text in rows:
        table.add_row(name, text)
    return table


def _operators(result: "Export") -> str:
    from collections import Counter

    from edgesr.export.inspect import read_content

    counts = Counter(read_content(result.content).operators)
    return ", ".join(f"{name} x{count}" for name, count in counts.items())


def _calibration(result: "Export") -> str:
    crops = result.calibration
    if crops is None:
        precision = result.request.precision
        trained = result.network.quantized is not None
        return "nothing: " + ("scales were trained" if trained else precision)
    source = result.choice.source
    return f"{crops.count} crops of {len(crops.images)} images ({source}), {crops.digest[:12]}"
