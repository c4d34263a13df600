"""``edgesr cost``: what networks cost, counted by named rules."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import CheckpointError, EdgesrError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from edgesr.bench.cost import Complexity
    from edgesr.bench.cost_denoiser import DenoiserCost


def cost(
    *sources: str,
    shape: str | None = None,
    scale: Annotated[int | None, Parameter(name=["--scale", "-s"], validator=Number(gte=1))] = None,
    model: Annotated[str | None, Parameter(name=["--model", "-n"])] = None,
    steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Count parameters, MACs, activations and memory of networks for one image.

    Args:
        sources: .tflite files, weights, run folders, shipped models, or networks by name (imdn,
            rfdn, rlfn, fmen, efdn, span, bsrn, fsrcnn, ncnet, abpn; denoisers: resshift_px_s,
            resshift_px_m, resshift_px_l, resshift_px_naf, sr3).
        shape: height x width of the low-resolution image; default is the size of a .tflite of one
            size, else 256x256.
        scale: upscaling factor, where a source does not name its own.
        model: network, where a weights file does not name it.
        steps: of diffusion denoisers; default is what the file says, and 4 for one by name. All
            other rows are of one step.
        json: print one JSON document instead of a table.
    """
    from edgesr.cli.console import say
    from edgesr.cli.shapes import parse_shape

    if not sources:
        raise UsageError("name at least one network or file, such as: edgesr cost ncnet imdn")
    size = None if shape is None else parse_shape(shape)
    if steps is not None and not any(map(_is_denoiser, sources)):
        raise UsageError(f"{', '.join(sources)}: no diffusion denoiser among them; drop --steps")
    counted: list[Complexity | DenoiserCost] = []
    failed: list[tuple[str, EdgesrError]] = []
    for source in sources:
        try:
            counted.append(_count(source, shape=size, model=model, scale=scale, steps=steps))
        except EdgesrError as error:
            failed.append((source, error))
    _print(counted, failed, json=json)
    for one in map(_step, counted):
        for warning in one.warnings:
            say(f"warning: {one.name}: {warning}")
    for _, refused in failed[:-1]:
        say(f"error: {refused}")
    if failed:
        raise failed[-1][1]


def _is_denoiser(source: str) -> bool:
    from edgesr.models.denoisers import DENOISERS
    from edgesr.upscalers.load import is_sampled

    try:
        return source in DENOISERS or is_sampled(source)
    except CheckpointError:  # counting says what is wrong with the file, beside the others' results
        return False


def _count(
    source: str,
    *,
    shape: tuple[int, int] | None,
    model: str | None,
    scale: int | None,
    steps: int | None,
) -> "Complexity | DenoiserCost":
    from edgesr.bench.cost import DEFAULT_SHAPE, complexity

    if not _is_denoiser(source):
        return complexity(source, shape=shape, model=model, scale=scale)
    if source.endswith(".tflite"):
        from edgesr.bench.cost_steps import steps_cost

        return steps_cost(Path(source), shape=shape, scale=scale, steps=steps)
    from edgesr.bench.cost_denoiser import denoiser_cost

    return denoiser_cost(source, shape=shape or DEFAULT_SHAPE, scale=scale, steps=steps)


def _step(one: "Complexity | DenoiserCost") -> "Complexity":
    from edgesr.bench.cost import Complexity

    return one if isinstance(one, Complexity) else one.step


def _print(
    counted: "Sequence[Complexity | DenoiserCost]",
    failed: "Sequence[tuple[str, EdgesrError]]",
    *,
    json: bool,
) -> None:
    from edgesr.bench.cost import COUNTERS
    from edgesr.bench.environment import environment
    from edgesr.cli.console import out

    if json:
        out.print_json(
            data={
                "schema": "edgesr/cost/1",
                "environment": environment(),
                "counters": dict(COUNTERS),
                "models": [one.to_json() for one in counted],
                "failed": [{"source": name, "error": str(error)} for name, error in failed],
            }
        )
    elif counted:
        out.print(_table(counted))
        for counter, meaning in COUNTERS.items():
            out.print(f"{counter}: {meaning}", markup=False, soft_wrap=True)
        out.print("1 MAC is 2 FLOPs; activations and convs: NTIRE's rule", soft_wrap=True)
        if any(_step(one) is not one for one in counted):
            out.print(
                "macs of all steps: macs times steps, and the centre once (bicubic, or a network "
                "in the file); all other rows of a denoiser: one step, its timestep folded in",
                soft_wrap=True,
            )


def _table(counted: "Sequence[Complexity | DenoiserCost]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("")
    networks = [_step(one) for one in counted]
    for one in networks:
        table.add_column(Text(one.name), justify="right", overflow="fold")
    for label, show in _ROWS.items():
        table.add_row(label, *(show(one) for one in networks))
        if label == "macs" and any(_step(one) is not one for one in counted):
            table.add_row("steps", *(str(_total(one)[0]) for one in counted))
            table.add_row("macs of all steps", *(_giga(_total(one)[1]) for one in counted))
    return table


def _total(one: "Complexity | DenoiserCost") -> tuple[int, int]:
    """Return evaluations for an image and the MACs of them all."""
    from edgesr.bench.cost import Complexity

    return (1, one.macs) if isinstance(one, Complexity) else (one.num_steps, one.total_macs)


def _params(one: "Complexity") -> str:
    return f"{one.trainable_params:,}" + (f" + {one.frozen_params:,}" * (one.frozen_params > 0))


def _giga(flops: int) -> str:
    return f"{flops / 1e9:.4f} G"


_ROWS: "dict[str, Callable[[Complexity], str]]" = {
    "input": lambda one: f"{one.shape[0]}x{one.shape[1]}",
    "scale": lambda one: "-" if one.scale is None else f"x{one.scale}",
    "parameters (+ frozen)": _params,
    "stored": lambda one: f"{one.stored_bytes / 1000:,.0f} kB",
    "macs": lambda one: _giga(one.macs),
    "ntire22": lambda one: _giga(one.ntire22_flops),
    "fvcore": lambda one: _giga(one.fvcore_flops),
    "activations": lambda one: f"{one.activations / 1e6:.4f} M",
    "convs": lambda one: str(one.convs),
    "receptive field": lambda one: "-" if one.receptive_field is None else str(one.receptive_field),
    "peak memory int8": lambda one: f"{one.peak_memory_int8_mib:.2f} MiB",
    "peak memory float32": lambda one: f"{one.peak_memory_float32_mib:.2f} MiB",
}
