"""``edgesr mixed``: which layer gets which widths, within a budget of bytes and operations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from edgesr.cli.mixed_subject import Opened, Request
    from edgesr.quant.mixed_program import Budget

Flag = Annotated[bool, Parameter(negative="")]
Shares = Annotated[list[float] | None, Parameter(negative="", validator=Number(gt=0))]


def mixed(  # noqa: PLR0913 - one parameter a flag
    run: str | None = None,
    /,
    *,
    bytes_budget: Shares = None,
    bops_budget: Shares = None,
    candidates: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    random: Annotated[int, Parameter(validator=Number(gte=0))] = 3,
    output: Path | None = None,
    data: Annotated[list[Path] | None, Parameter(negative="")] = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    calibration: Path | None = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    results: Annotated[list[Path] | None, Parameter(negative="")] = None,
    docs: Path | None = None,
    json: Flag = False,
) -> None:
    """Measure what every layer's precision costs, assign precisions within a budget, and verify.

    Compared with W8A8, W4A8 and W6A6 in all layers, with assignments at the budgets of the last
    two, and with random assignments of every budget. All but W8A8 is simulated; see
    docs/mixed-precision.md.

    Args:
        run: run folder, weights file or shipped network, a diffusion denoiser too; none only writes
            --docs from --results.
        bytes_budget: bytes of weights, as a share of what W8A8 takes, such as 0.6; may be repeated
            for several assignments.
        bops_budget: bit operations (MACs times both widths), likewise; default is 1. Given as often
            as --bytes-budget, or once for all.
        candidates: schemes that a layer may take; default is wi8_ai8 wi8_ai16 wi4_ai8 wi6_ai6.
        random: random assignments of every budget to compare with.
        output: safetensors file for the integers of the only budget; edgesr eval runs it, edgesr
            export writes it where all layers are W8A8.
        data: folder of images to measure on, may be repeated; default are those that the run held
            out.
        limit: only so many images of every folder, spread evenly.
        calibration: folder of training images; default are those of the run.
        seed: of the calibration crops; with a denoiser, of the noise as well.
        results: file for the figures (JSON); without RUN, files to read, may be repeated.
        docs: page (Markdown) to write from --results.
        json: print the figures as JSON instead of tables.
    """
    if run is None:
        _write_page(results or [], docs)
        return
    if docs is not None or len(results or []) > 1:
        raise UsageError("--docs and several --results are for results that are there; drop RUN")
    budgets = _budgets(bytes_budget or [], bops_budget or [])
    if output is not None and (output.suffix != ".safetensors" or len(budgets) > 1):
        raise UsageError(
            f"{output}: holds the integers of one budget and ends in .safetensors; give one "
            "--bytes-budget, and such a name"
        )

    import scipy.optimize  # noqa: F401 - it solves; say that it is missing before anything is measured

    from edgesr.cli.console import out, say
    from edgesr.cli.mixed_subject import Request, open_subject
    from edgesr.models.checkpoint import is_denoiser, weights_file
    from edgesr.quant.mixed import CANDIDATES
    from edgesr.zoo.find import find_weights

    weights = find_weights(run)
    if output is not None and is_denoiser(weights_file(weights)):
        raise UsageError(
            f"{output}: integers of a denoiser in mixed precision are measured and not kept; drop "
            "--output"
        )
    request = Request(
        data=data or [],
        limit=limit,
        calibration=calibration,
        seed=seed,
        candidates=tuple(candidates or CANDIDATES),
        random=random,
    )
    opened = open_subject(weights, request)
    found = _measured(opened, request, budgets, output, results or [])
    if json:
        out.print_json(data=found)
        return
    for table in (_comparison(found), _layers(found)):
        out.print(table)
    if output is not None:
        out.print(f"{output}  {output.stat().st_size:,} bytes", markup=False, soft_wrap=True)
        say(found["export"])


def _budgets(sizes: list[float], operations: list[float]) -> "list[Budget]":
    from edgesr.quant.mixed_program import Budget

    if not sizes and not operations:
        raise UsageError("name a budget, such as --bytes-budget 0.6 or --bops-budget 0.5")
    if not sizes:
        return [Budget(operations=one) for one in operations]
    if len(operations) not in {0, 1, len(sizes)}:
        raise UsageError(
            f"--bops-budget is given {len(operations)} times and --bytes-budget {len(sizes)} "
            "times; give it once, or as often"
        )
    both = operations or [1.0]
    both = both * len(sizes) if len(both) == 1 else both
    return [Budget(size=size, operations=limit) for size, limit in zip(sizes, both, strict=True)]


def _measured(
    opened: "Opened",
    request: "Request",
    budgets: "list[Budget]",
    output: Path | None,
    results: list[Path],
) -> dict[str, Any]:
    from edgesr.bench.environment import environment
    from edgesr.bench.mixed import SCHEMA, UNIFORM, budgets_of, layer_rows, rows, weight_bytes
    from edgesr.cli.console import say
    from edgesr.files import write_json
    from edgesr.models.quantized import save_quantized
    from edgesr.quant.mixed import refusal
    from edgesr.quant.mixed_sensitivity import measure_sensitivities
    from edgesr.quant.scheme import SCHEMES

    subject, candidates = opened.subject, request.candidates
    say(f"measuring the sensitivity of {len(subject.prepared.grids[0])} widths")
    schemes = [SCHEMES[name] for name in dict.fromkeys((*candidates, *UNIFORM))]
    sensitivities = measure_sensitivities(subject.prepared, schemes)
    named = budgets_of(subject.prepared, budgets, candidates)
    wanted = next(iter(named))
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "network": {**opened.network, "weight_bytes": weight_bytes(subject.prepared)},
        "sets": opened.sets,
        "candidates": {name: SCHEMES[name].label.partition(" ")[0] for name in candidates},
        "fixed_db": subject.decibels(sensitivities.fixed),
        "layers": layer_rows(subject, sensitivities, candidates),
        "rows": [],
        "environment": environment(),
    }
    ways = rows(subject, sensitivities, named, candidates, random=request.random, listen=say)
    for row, integers in ways:
        found["rows"].append(row)
        for path in results:
            write_json(path, found)
        if output is not None and opened.loaded and (row["kind"], row["name"]) == ("mixed", wanted):
            loaded = opened.loaded
            save_quantized(output, integers[0], loaded, dict(loaded.metadata))
            reason = refusal(integers[0])
            found["export"] = reason or "edgesr export writes this file as int8"
    return found


def _write_page(results: list[Path], docs: Path | None) -> None:
    if docs is None or not results:
        raise UsageError("name a network, or --results and --docs to write the page")

    from edgesr.bench.mixed import SCHEMA
    from edgesr.bench.mixed_page import mixed_page
    from edgesr.bench.results import read_document
    from edgesr.files import write_text

    write_text(docs, mixed_page([read_document(path, {SCHEMA}) for path in results]))


def _comparison(found: dict[str, Any]) -> "Table":
    from rich.table import Table

    from edgesr.bench.mixed_page import shown_rows

    network, names = found["network"], list(found["sets"])
    table = Table(title=f"{network['model']} x{network['scale']}, shares of W8A8, PSNR in dB")
    table.add_column("", overflow="fold")
    for heading in ("bytes", "bit ops", "predicted", "measured"):
        table.add_column(heading, justify="right")
    for name in names:
        table.add_column(f"{name} to float", justify="right")
        table.add_column("drop", justify="right")
    table.add_column("file")
    for row in shown_rows(found):
        cells = [
            f"{row['figures'][name][key]:{form}}"
            for name in names
            for key, form in (("psnr_to_float", ".2f"), ("drop", "+.3f"))
        ]
        table.add_row(
            row["title"],
            f"{row['size']:.3f}",
            f"{row['operations']:.3f}",
            f"{row['predicted_db']:.2f}",
            f"{row['measured_db']:.2f}",
            *cells,
            "int8" if row["exported"] else "no",
        )
    return table


def _layers(found: dict[str, Any]) -> "Table":
    from rich.table import Table

    mixed_rows = [row for row in found["rows"] if row["kind"] == "mixed"]
    table = Table(title="sensitivity by layer in dB, and the precision that each budget gives")
    table.add_column("layer", overflow="fold")
    table.add_column("weights", justify="right")
    for label in found["candidates"].values():
        table.add_column(label, justify="right")
    for row in mixed_rows:
        table.add_column(row["name"])
    for layer in found["layers"]:
        errors = layer["sensitivity_db"]
        cells = [f"{errors[name]:.1f}" if name in errors else "" for name in found["candidates"]]
        given = [row["layers"][layer["name"]] for row in mixed_rows]
        table.add_row(layer["name"], f"{layer['weights']:,}", *cells, *given)
    return table
