"""``edgesr quantize``: integers without training, by a chosen recipe, or many recipes compared."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table

    from edgesr.bench.quantization import Images
    from edgesr.export.calibration import ImageChoice
    from edgesr.models.checkpoint import LoadedModel
    from edgesr.quant.calibrate import CalibrationBatch
    from edgesr.quant.recipe import PtqRecipe

Flag = Annotated[bool, Parameter(negative="")]
SchemeName = Literal["wi8_ai8", "wi4_ai8", "wi6_ai6", "wi4_ai4"]


def quantize(  # noqa: C901, PLR0913 - one parameter a flag, and what contradicts it
    run: str | None = None,
    /,
    *,
    output: Path | None = None,
    scheme: SchemeName = "wi8_ai8",
    observer: str | None = None,
    rounding: Literal["nearest", "gptq", "adaround", "block", "dorefa"] | None = None,
    bias_correction: Literal["none", "last", "all"] | None = None,
    equalize: bool | None = None,
    output_search: bool | None = None,
    iterations: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    qat_steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    qat_rank: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    correct_sampler: Flag = False,
    compare: Flag = False,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    beside: Annotated[list[str] | None, Parameter(name=["--with"], negative="")] = None,
    data: Annotated[list[Path] | None, Parameter(negative="")] = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    calibration: Path | None = None,
    calibration_sets: Path | None = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    results: Annotated[list[Path] | None, Parameter(negative="")] = None,
    docs: Path | None = None,
    json: Flag = False,
) -> None:
    """Quantize a trained network without training it further, and say what that costs.

    Args:
        run: run folder, weights file, or a shipped network such as ncnet_x3; none only writes
            --docs from --results. Of a diffusion denoiser every step is quantized, and the weights
            are shared.
        output: safetensors file for the integers; edgesr eval runs it, edgesr export writes 8 bits.
        scheme: widths of weights and activations; those below 8 bits are simulated only.
        observer: estimator of ranges: percentile, histogram_mse, histogram_lp, minmax,
            moving_average, kl, dobi or pams. This and what follows default to what does best for
            the scheme.
        rounding: of weights: to the nearest code, or fitted.
        bias_correction: of which layers.
        equalize: bring the channels of every tensor to one range first.
        output_search: choose ranges by the error that they make in the output.
        iterations: of learned rounding, per layer or block.
        qat_steps: with a denoiser: train its integers so many steps of the optimizer to predict
            what the float network does; an interrupted training goes on.
        qat_rank: with --qat-steps: train adapters of this rank, not the whole weights.
        correct_sampler: with a denoiser: measure the mean and gain of the integers' error at every
            step and let the sampler take them out; edgesr export writes them into the schedule.
        compare: run every recipe instead of the one that the flags describe.
        only: with --compare, the recipes whose names hold this text; may be repeated.
        beside: with --compare, checkpoints with trained integers to put beside; may be repeated.
        data: folder of images to measure on, may be repeated; default are those that the run held
            out.
        limit: only so many images of every folder, spread evenly.
        calibration: folder of training images; default are those of the run.
        calibration_sets: with a denoiser: folder that keeps its calibration sets, to go on from.
        seed: of the calibration crops; with a denoiser, of the noise as well.
        results: file for the figures (JSON); without RUN, files to read, may be repeated.
        docs: page (Markdown) to write from --results.
        json: print the figures as JSON instead of a table.
    """
    if run is None:
        _write_page(results or [], docs)
        return
    if docs is not None or len(results or []) > 1:
        raise UsageError("--docs and several --results are for results that are there; drop RUN")
    if compare and output is not None:
        raise UsageError("--compare writes no integers; drop --output or --compare")
    if not compare and (only or beside):
        raise UsageError("--only and --with are for --compare; add it")
    if output is not None and output.suffix != ".safetensors":
        raise UsageError(f"{output}: want a file name that ends in .safetensors")

    from edgesr.zoo.find import find_weights

    weights = find_weights(run)
    flags = {
        "observer": observer,
        "rounding": rounding,
        "bias_correction": bias_correction,
        "equalize": equalize,
        "output_search": output_search,
        "iterations": iterations,
    }
    given: dict[str, Any] = {key: value for key, value in flags.items() if value is not None}
    if _is_denoiser(weights):
        from edgesr.cli.quantize_steps import Asked, go

        asked = Asked(
            compare=compare,
            output=output,
            scheme=scheme,
            given=given,
            qat_steps=qat_steps,
            qat_rank=qat_rank,
            corrected=correct_sampler,
            only=only,
            beside=beside,
            data=data or [],
            limit=limit,
            calibration=calibration,
            sets=calibration_sets,
            seed=seed,
            results=results or [],
            json=json,
        )
        go(weights, asked)
        return
    of_steps = [calibration_sets, qat_steps, qat_rank]
    if correct_sampler or any(one is not None for one in of_steps):
        raise UsageError(
            "--calibration-sets, --qat-steps, --qat-rank and --correct-sampler are for diffusion "
            f"denoisers, and {run} is none; train its integers with edgesr train --qat"
        )

    from edgesr.bench.environment import environment
    from edgesr.bench.quantization import document
    from edgesr.cli.console import out, say
    from edgesr.export.calibration import calibration_set, choose_images
    from edgesr.files import sha256_file, write_json
    from edgesr.models.checkpoint import load_model
    from edgesr.quant.recipe import RECIPES, default_recipe
    from edgesr.quant.scheme import SCHEMES

    recipe = replace(default_recipe(SCHEMES[scheme]), **given)
    recipes = {f"{recipe.scheme.label} {recipe.observer}, {recipe.rounding}": recipe}
    if compare:
        recipes = dict(RECIPES) if only is None else _matching(RECIPES, only)
    loaded = load_model(weights)
    choice = choose_images(
        loaded.path, loaded.scale, calibration=calibration, held_out=data[0] if data else None
    )
    crops = calibration_set(choice.calibration, loaded.scale, seed=seed)
    say(f"calibrating on {crops.count} crops of {len(crops.images)} images ({choice.source})")
    sets = image_sets(loaded, data or [], choice, limit)
    rows = list(_rows(loaded, recipes, crops.batches, sets, output))
    rows += _trained_rows(beside or [], loaded, sets)
    network = {
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "sha256": sha256_file(loaded.path),
        "calibration": f"{crops.count} crops of {len(crops.images)} images",
        "digest": crops.digest,
    }
    found = document(rows, network=network, sets=sets, environment=environment())
    for path in results or []:
        write_json(path, found)
    if json:
        out.print_json(data=found)
        return
    out.print(_table(found))
    if output is not None:
        out.print(f"{output}  {output.stat().st_size:,} bytes", markup=False, soft_wrap=True)


def _is_denoiser(weights: Path) -> bool:
    from edgesr.models.checkpoint import is_denoiser, weights_file

    return is_denoiser(weights_file(weights))


def _write_page(results: list[Path], docs: Path | None) -> None:
    if docs is None or not results:
        raise UsageError("name a network to quantize, or --results and --docs to write the page")

    from edgesr.bench import quantization, step_quantization
    from edgesr.bench.quantization_page import quantization_page
    from edgesr.bench.results import read_document
    from edgesr.bench.step_quantization_page import step_quantization_page
    from edgesr.files import write_text

    pages = {
        quantization.SCHEMA: quantization_page,
        step_quantization.SCHEMA: step_quantization_page,
    }
    documents = [read_document(path, set(pages)) for path in results]
    schemas = {document["schema"] for document in documents}
    if len(schemas) > 1:
        raise UsageError("--results of plain networks and of denoisers have pages of their own")
    write_text(docs, pages[schemas.pop()](documents))


def _matching(recipes: "Mapping[str, PtqRecipe]", only: list[str]) -> "dict[str, PtqRecipe]":
    found = {
        name: recipe
        for name, recipe in recipes.items()
        if any(text.lower() in name.lower() for text in only)
    }
    if not found:
        raise UsageError(
            f"--only {' '.join(only)}: no recipe is named so; {', '.join(recipes)} are"
        )
    return found


def image_sets(
    loaded: "LoadedModel", folders: list[Path], choice: "ImageChoice", limit: int | None
) -> "list[Images]":
    """Read images with the float network's results, those of ``choice`` where there is no folder.

    Raises:
        DatasetError: images are missing or do not fit.
    """
    from edgesr.bench.quantization import read_images
    from edgesr.data.layouts import find_dataset
    from edgesr.export.pipeline import float_reference

    scale = loaded.scale
    listed = {folder.name: find_dataset(folder, scale).pairs for folder in folders}
    return [
        read_images(pairs, name, scale, reference=float_reference(loaded.module), limit=limit)
        for name, pairs in (listed or {"held-out": choice.held_out}).items()
    ]


def _rows(
    loaded: "LoadedModel",
    recipes: "Mapping[str, PtqRecipe]",
    batches: "Sequence[CalibrationBatch]",
    sets: "Sequence[Images]",
    output: Path | None,
) -> "Iterator[dict[str, Any]]":
    from edgesr.bench.quantization import row
    from edgesr.cli.console import say
    from edgesr.models.quantized import float_graph, save_quantized
    from edgesr.quant.ptq import quantize_graph

    graph = float_graph(loaded.module, loaded.descriptor.name)
    for name, recipe in recipes.items():
        say(f"quantizing: {name}")
        start = time.perf_counter()
        quantized = quantize_graph(graph, batches, recipe).quantized
        seconds = time.perf_counter() - start
        if output is not None:
            save_quantized(output, quantized, loaded, dict(loaded.metadata))
        yield row(name, quantized, sets, seconds=seconds, trained=False)


def _trained_rows(
    checkpoints: list[str], loaded: "LoadedModel", sets: "Sequence[Images]"
) -> "Iterator[dict[str, Any]]":
    from edgesr.bench.quantization import row
    from edgesr.models.quantized import load_exportable
    from edgesr.quant.scheme import SCHEMES

    for path in checkpoints:
        name = loaded.descriptor.name
        teacher, quantized = load_exportable(Path(path), model=name, scale=loaded.scale)
        if quantized is None:
            raise CheckpointError(f"{path}: holds no integers; train them with edgesr train --qat")
        state = loaded.module.state_dict()
        if not all(value.equal(state[key]) for key, value in teacher.module.state_dict().items()):
            raise CheckpointError(
                f"{path}: was trained from another float network than {loaded.path}; name that one"
            )
        label = SCHEMES[quantized.scheme].label.removesuffix(" (simulated)")
        yield row(f"{label}: QAT", quantized, sets, seconds=0.0, trained=True)


def _table(found: "dict[str, Any]") -> "Table":
    from rich.table import Table

    network, names = found["network"], list(found["sets"])
    table = Table(title=f"{network['model']} x{network['scale']}, drop in dB ({found['protocol']})")
    table.add_column("recipe", overflow="fold")
    for name in names:
        for heading in (f"{name} drop", "to float dB", "colour"):
            table.add_column(heading, justify="right")
    for row in found["rows"]:
        cells: list[str] = []
        for name in names:
            one = row["figures"][name]
            cells += [f"{one['drop']:+.3f}", f"{one['psnr_to_float']:.2f}"]
            cells += [f"{one['colour_bias']:+.3f}"]
        mark = " (simulated)" if row["simulated"] and "simulated" not in row["name"] else ""
        table.add_row(f"{row['name']}{mark}", *cells)
    return table
