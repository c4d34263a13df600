"""``edgesr export`` of a diffusion denoiser: one signature a step."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgesr.errors import GateError

if TYPE_CHECKING:
    from rich.table import Table

    from edgesr.export.step_pipeline import StepExport, StepRequest


def export_denoiser(
    checkpoint: Path, request: "StepRequest", *, model: str | None, scale: int | None, json: bool
) -> None:
    """Export a denoiser and print what was found out.

    Args:
        checkpoint: weights file or run folder.
        request: what to write.
        model: denoiser that the checkpoint must be.
        scale: upscaling factor that it must have.
        json: print the report as JSON instead of a table.
    """
    from edgesr.cli.console import out, say
    from edgesr.diffusion.integer_files import load_steps
    from edgesr.export.step_pipeline import export_steps
    from edgesr.export.step_report import step_report
    from edgesr.models.checkpoint import holds_integers
    from edgesr.models.denoiser_files import load_denoiser
    from edgesr.upscalers.step_schedule import SUFFIX

    trained = None
    if holds_integers(checkpoint):
        loaded, trained = load_steps(checkpoint, model=model, scale=scale)
    else:
        loaded = load_denoiser(checkpoint, model=model, scale=scale)
    say(f"exporting {loaded.path} ({loaded.descriptor.name} x{loaded.scale})")
    result = export_steps(loaded, request, trained)
    output = request.output
    written = [output, output.with_suffix(SUFFIX)]
    if result.quantized is not None:
        written.append(_certified(output))
    if json:
        out.print_json(data=step_report(result))
        return
    out.print(_table(result))
    for path in written:
        out.print(f"{path}  {path.stat().st_size:,} bytes", markup=False, soft_wrap=True)


def _certified(output: Path) -> Path:
    from edgesr.bench.environment import environment
    from edgesr.export.step_certificate import certify_steps

    found = certify_steps(output, environment=environment())
    if found.parity.mismatches:
        raise GateError(
            f"{output}: file and simulation differ in {found.parity.mismatches} values, want 0; "
            f"see {found.certificate.name}"
        )
    return found.certificate


def _table(result: "StepExport") -> "Table":
    from rich.table import Table

    fidelity, cost, schedule = result.fidelity, result.cost, result.schedule
    red, green, blue = fidelity.colour_bias
    names = ", ".join(f"{one.signature} (timestep {one.timestep})" for one in schedule.steps)
    rows = [
        ("signatures", names),
        ("operators of each", _operators(result)),
        *_centre(result),
        (
            "size",
            (
                f"{len(result.content):,} bytes, {len(result.content) / result.single_bytes:.3f} "
                "times a file of one step"
            ),
        ),
        ("calibrated on", _calibration(result)),
        ("verified on", f"{fidelity.images} images ({result.choice.held_out_source})"),
    ]
    if result.parity is not None and result.quantized is not None:
        compared = sum(one.values for one in result.parity.signatures)
        differing = sum(one.mismatches for one in result.parity.signatures)
        rows += [
            ("groups of steps", f"{result.quantized.num_groups} sets of activation scales"),
            ("signatures against simulation", f"{differing} of {compared:,} values differ"),
            (
                "trajectories against simulation",
                f"{fidelity.mismatches} of {fidelity.values:,} values differ",
            ),
        ]
    rows += [
        (
            "PSNR to the float denoiser",
            (
                f"{fidelity.psnr_to_float:.2f} dB at the same noise, worst image "
                f"{fidelity.worst_to_float:.2f} dB"
            ),
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
            f"one step, {cost.side}x{cost.side}, 1 thread",
            (
                f"{cost.file_ms:.1f} ms, float32 {cost.float32_ms:.1f} ms in the same run, "
                f"{cost.speedup:.2f} times as long"
            ),
        ),
        (
            "memory of each signature",
            ", ".join(f"{one:.1f}" for one in cost.signature_mib) + " MiB",
        ),
        ("time", ", ".join(f"{stage} {took:.1f} s" for stage, took in result.seconds.items())),
    ]
    table = Table(title=result.request.output.name, show_header=False)
    for name, text in rows:
        table.add_row(name, text)
    return table


def _centre(result: "StepExport") -> list[tuple[str, str]]:
    centre, cost = result.centre, result.cost
    if centre is None:
        return []
    network = centre.network
    text = (
        f"signature centre: {network.descriptor.name} of {network.params:,} parameters, "
        f"{centre.bytes:,} bytes, {centre.fidelity.psnr_to_float:.2f} dB to its float network, "
        f"{cost.centre_ms:.1f} ms (float32 {cost.centre_float32_ms:.1f}) and "
        f"{cost.centre_mib:.1f} MiB"
    )
    return [("centre", text)]


def _operators(result: "StepExport") -> str:
    from collections import Counter

    from edgesr.export.inspect import read_content

    counts = Counter(read_content(result.content).operators)
    return ", ".join(f"{name} x{count}" for name, count in counts.items())


def _calibration(result: "StepExport") -> str:
    crops = result.calibration
    if crops is None:
        return "nothing: float32" if result.quantized is None else "integers of the checkpoint"
    steps = len(result.schedule.steps)
    return (
        f"{crops.count} crops at {steps} step{'s' * (steps != 1)} each, of {len(crops.images)} "
        f"images ({result.choice.source}), {crops.digest[:12]}"
    )
