"""``edgesr models import``: weights that others published, as a file that edgesr runs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import UsageError


def import_(
    source: Path,
    /,
    *,
    scale: Annotated[int, Parameter(name=["--scale", "-s"])],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    steps: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Turn BI-DiffSR's published .pth into a weights file that is sampled as its authors do.

    The file then works with `upscale`, `eval`, `bench` and `export --binary`.

    Args:
        source: the authors' .pth.
        scale: upscaling factor that it was trained for, 2 or 4.
        output: file to write; default is SOURCE with the ending .safetensors.
        steps: of sampling, where none are asked for later.
        json: print one JSON document.
    """
    from edgesr.cli.console import out, say
    from edgesr.diffusion.published import MODEL, import_published
    from edgesr.files import sha256_file

    target = output or source.with_suffix(".safetensors")
    if target == source:
        raise UsageError(f"{target}: is the source itself; name another file with --output")
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: want a file that ends in .safetensors; name it with --output")
    tensors = import_published(source, target, scale=scale, steps=steps)
    if json:
        out.print_json(
            data={
                "schema": "edgesr/models-import/1",
                "source": str(source),
                "source_sha256": sha256_file(source),
                "output": str(target),
                "model": MODEL,
                "scale": scale,
                "steps": steps,
                "tensors": tensors,
                "bytes": target.stat().st_size,
            }
        )
        return
    say(f"{tensors} tensors of {source}")
    out.print(
        f"{target}  {MODEL} x{scale}, {steps} steps, {target.stat().st_size:,} bytes",
        markup=False,
        soft_wrap=True,
    )
