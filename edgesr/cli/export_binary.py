"""``edgesr export --binary``: a denoiser of one-bit convolutions as packed bits."""

from pathlib import Path

from edgesr.errors import UsageError


def export_packed(
    output: Path, checkpoint: Path | None, *, model: str | None, scale: int | None, json: bool
) -> None:
    """Export a denoiser and print what was written.

    Args:
        output: file that ends in .esb.
        checkpoint: weights file or run folder; None takes the newest run.
        model: denoiser that it must be.
        scale: upscaling factor that it must have.
        json: print the report as JSON.

    Raises:
        UsageError: another suffix.
    """
    from edgesr.binary.esb import SUFFIX

    if output.suffix != SUFFIX:
        raise UsageError(f"{output}: --binary writes a file that ends in {SUFFIX}; name one")

    from edgesr.cli.console import out, say
    from edgesr.export.binary import export_binary
    from edgesr.models.checkpoint import newest_run
    from edgesr.models.denoiser_files import load_denoiser

    loaded = load_denoiser(checkpoint or newest_run(), model=model, scale=scale)
    say(f"exporting {loaded.path} ({loaded.descriptor.name} x{loaded.scale})")
    found = export_binary(loaded, output)
    if found.zero_signs:
        say(
            "note: what is exactly 0 has no sign in the checkpoint and +1 in the file: "
            f"{found.zero_weights} weights, and whatever activations come to be"
        )
    for name in found.wide:
        say(f"note: {name} exceeds half precision and is stored as float32")
    if json:
        out.print_json(data=found.to_json())
        return
    out.print(
        f"{found.layers} packed convolutions, {found.binary_params:,} weights of 1 bit, "
        f"{found.float_params:,} float16; {found.sums:,} sums equal to the float layers' "
        f"({found.kernel})",
        soft_wrap=True,
    )
    times = found.float32_bytes / found.bytes
    out.print(
        f"{output}  {found.bytes:,} bytes, {times:.1f} times less than float32",
        markup=False,
        soft_wrap=True,
    )
