"""``edgesr quantize DENOISER``: integers of its steps, written or, with --compare, compared."""

import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesr.cli.quantize_case import CalibrationSets, Case, empty_document, open_case, quantized_by
from edgesr.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from rich.table import Table

    from edgesr.bench.step_methods import Method
    from edgesr.diffusion.integer_steps import QuantizedDenoiser
    from edgesr.models.denoiser_files import LoadedDenoiser
    from edgesr.quant.stepwise import StepwiseModel


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks of a denoiser; see ``edgesr quantize``."""

    compare: bool
    output: Path | None
    scheme: str
    given: dict[str, Any]
    qat_steps: int | None
    qat_rank: int | None
    corrected: bool
    beside: list[str] | None
    only: list[str] | None
    data: list[Path]
    limit: int | None
    calibration: Path | None
    sets: Path | None
    seed: int
    results: list[Path]
    json: bool


def go(weights: Path, asked: Asked) -> None:
    """Do what was asked of the denoiser in ``weights``.

    Raises:
        UsageError: flags that do not go together.
    """
    if asked.beside:
        raise UsageError(f"--with is for plain networks, and {weights} is a diffusion denoiser")
    if asked.compare:
        trained = asked.qat_steps is not None or asked.qat_rank is not None
        if trained or asked.corrected or asked.given:
            raise UsageError(
                "--compare runs methods as they are; drop --qat-steps, --correct-sampler and the "
                "flags of a recipe, or write one network's integers with --output"
            )
        compare_denoiser(weights, asked)
        return
    if asked.output is None:
        raise UsageError(
            f"{weights}: is a diffusion denoiser; compare ways to quantize it with --compare, or "
            "write its integers with --output"
        )
    if asked.qat_rank is not None and asked.qat_steps is None:
        raise UsageError("--qat-rank is for training; add --qat-steps")
    if asked.results:
        raise UsageError("--results is for --compare; print the figures with --json")

    from edgesr.bench.step_methods import Method
    from edgesr.quant.recipe import default_recipe
    from edgesr.quant.scheme import SCHEMES

    recipe = replace(default_recipe(SCHEMES[asked.scheme]), **asked.given)
    method = Method(
        recipe=recipe,
        trained=asked.qat_steps or 0,
        rank=asked.qat_rank,
        corrected=asked.corrected,
    )
    write_denoiser(weights, asked, method, asked.output)


def compare_denoiser(weights: Path, asked: Asked) -> None:
    """Compare ways to quantize the denoiser in ``weights`` and print the figures.

    Raises:
        UsageError: no method has such a name.
    """
    from edgesr.bench.step_methods import METHODS
    from edgesr.cli.console import out

    methods = _chosen(dict(METHODS), asked.only)
    case = open_case(weights, asked)
    found = _measured(case, methods, asked)
    if asked.json:
        out.print_json(data=found)
    else:
        out.print(_table(found))


def write_denoiser(weights: Path, asked: Asked, method: "Method", output: Path) -> None:
    """Quantize the denoiser in ``weights`` by one method, write the integers, print the figures.

    An interrupted training goes on when the same is asked for again.
    """
    from edgesr.cli.console import out, say
    from edgesr.diffusion.integer_files import save_steps
    from edgesr.quant.scheme import SCHEMES

    case = open_case(weights, asked)
    label = SCHEMES[method.recipe.scheme.name].label.removesuffix(" (simulated)")
    name = f"{label}: ours + QAT, {method.trained} steps" if method.trained else f"{label}: ours"
    name += ", sampler corrected" if method.corrected else ""
    state = output.with_name(f"{output.name}.state.pt")
    found = empty_document(case)
    with _calibration_folder(asked) as folder:
        source = CalibrationSets(Path(str(folder)), case)
        denoiser, seconds = quantized_by(name, method, source, case, state)
        model = _sampled(denoiser, method, source)
    metadata = {"float_sha256": case.network["sha256"], "qat_steps": str(method.trained)}
    save_steps(output, model, case.loaded, metadata)
    state.unlink(missing_ok=True)
    say(f"measuring: {name}")
    found["rows"] = [_row(name, model, case, seconds)]
    if asked.json:
        out.print_json(data=found)
    else:
        out.print(_table(found))
        out.print(f"{output}  {output.stat().st_size:,} bytes", markup=False, soft_wrap=True)


def _measured(case: Case, methods: "dict[str, Method]", asked: Asked) -> dict[str, Any]:
    """Quantize and measure by every method; those that a results file has are not done again."""
    from edgesr.bench.step_methods import METHODS
    from edgesr.files import write_json

    found = empty_document(case)
    found |= _earlier(asked.results, found)
    done = {row["name"] for row in found["rows"]}
    order = list(METHODS)
    with _calibration_folder(asked) as folder:
        left = {name: method for name, method in methods.items() if name not in done}
        for row, denoiser in _rows(left, CalibrationSets(Path(str(folder)), case), case):
            found["rows"].append(row)
            if row["name"] == "W8A8: ours, all parts":
                found["disturbances"] = _disturbances(case.loaded, denoiser)
                found["parts"] = error_parts(denoiser, case)
            found["rows"].sort(key=lambda one: order.index(one["name"]))
            for result in asked.results:
                write_json(result, found)
    return found


def _calibration_folder(asked: Asked) -> "AbstractContextManager[Path | str]":
    return nullcontext(asked.sets) if asked.sets else tempfile.TemporaryDirectory()


def _earlier(results: list[Path], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return rows of a results file that an interrupted comparison of the same has left."""
    from edgesr.bench.results import read_document
    from edgesr.bench.step_quantization import SCHEMA
    from edgesr.cli.console import say

    if len(results) != 1 or not results[0].is_file():
        return {}
    found = read_document(results[0], {SCHEMA})
    floats = [
        {name: facts["float"] for name, facts in one["sets"].items()} for one in (found, wanted)
    ]
    if found["network"] != wanted["network"] or floats[0] != floats[1]:
        raise DataError(
            f"{results[0]}: holds a comparison of other weights, images or noise; name another file"
        )
    say(f"{len(found['rows'])} methods are measured in {results[0]} already")
    kept = ("rows", "sets", "disturbances", "parts")
    return {key: found[key] for key in kept if key in found}


def _rows(
    methods: "dict[str, Method]", source: CalibrationSets, case: Case
) -> "Iterator[tuple[dict[str, Any], QuantizedDenoiser]]":
    for name, method in methods.items():
        state = source.folder / f"{_file_name(name)}.state.pt"
        denoiser, seconds = quantized_by(name, method, source, case, state)
        model = _sampled(denoiser, method, source)
        yield _row(name, model, case, seconds), denoiser
        for file in state.parent.glob(f"{state.name}*"):
            file.unlink()


def _row(name: str, model: "StepwiseModel", case: Case, seconds: float) -> dict[str, Any]:
    from edgesr.bench.step_quantization import row

    centre = case.deployed.centre
    return row(name, model, case.sets, case.paths, seed=case.seed, seconds=seconds, centre=centre)


def _sampled(
    denoiser: "QuantizedDenoiser", method: "Method", source: CalibrationSets
) -> "StepwiseModel":
    """Return the steps with what their sampler shall correct, measured where the method says so."""
    from edgesr.diffusion.integer_steps import measure_corrections, with_corrections

    if not method.corrected:
        return denoiser.model
    return with_corrections(denoiser.model, measure_corrections(denoiser, source.of(method)))


def _file_name(name: str) -> str:
    return "".join(one if one.isalnum() else "_" for one in name)


def _disturbances(loaded: "LoadedDenoiser", denoiser: "QuantizedDenoiser") -> list[dict[str, Any]]:
    from edgesr.diffusion.temporal_features import disturbances

    return [{**asdict(one), "chosen": one.chosen} for one in disturbances(loaded.module, denoiser)]


def error_parts(denoiser: "QuantizedDenoiser", case: Case) -> dict[str, dict[str, float]]:
    """Return by set what every part of the integers, and all of them, add to the squared error.

    The part of the centre is the error of its integers, where a network makes it.
    """
    from edgesr.bench.step_quantization import sampled_by, squared_error
    from edgesr.cli.console import say
    from edgesr.debug.step_parts import PARTS, PartlyRounded
    from edgesr.diffusion.integer_steps import IntegerNetwork

    say("measuring what the error consists of")
    found: dict[str, dict[str, float]] = {}
    networks = {part: PartlyRounded(denoiser.model, part) for part in PARTS}
    for images in case.sets:
        found[images.name] = {}
        for part, network in networks.items():
            centre = case.deployed.centre if part == "centre" else case.loaded.centre
            sample = sampled_by(network, *case.paths, seed=case.seed, centre=centre)
            found[images.name][part] = squared_error(images, sample)
        integers, centre = IntegerNetwork(denoiser.model), case.deployed.centre
        whole = sampled_by(integers, *case.paths, seed=case.seed, centre=centre)
        found[images.name]["all"] = squared_error(images, whole)
    return found


def _chosen(methods: "dict[str, Method]", only: list[str] | None) -> "dict[str, Method]":
    if only is None:
        return methods
    found = {
        name: method
        for name, method in methods.items()
        if any(text.lower() in name.lower() for text in only)
    }
    if not found:
        raise UsageError(
            f"--only {' '.join(only)}: no method is named so; {', '.join(methods)} are"
        )
    return found


def _table(found: dict[str, Any]) -> "Table":
    from rich.table import Table

    network = found["network"]
    table = Table(title=f"{network['model']} x{network['scale']}, timesteps {network['timesteps']}")
    table.add_column("method", overflow="fold")
    table.add_column("groups")
    for name in found["sets"]:
        for heading in (f"{name} to float dB", "PSNR-Y", "GMSD", "HF"):
            table.add_column(heading, justify="right")
    floats = {name: facts["float"] for name, facts in found["sets"].items()}
    rounded = {name: facts["rounded"] for name, facts in found["sets"].items()}
    lines = [
        {"name": "float32", "groups": [], "figures": floats},
        {"name": "float32, images rounded", "groups": [], "figures": rounded},
        *found["rows"],
    ]
    for row in lines:
        cells: list[str] = []
        for name in found["sets"]:
            one = row["figures"][name]
            cells += [f"{one['psnr_to_float']:.2f}", f"{one['psnr']:.3f}"]
            cells += [f"{one['gmsd']:.4f}", f"{one['high_frequency_ratio']:.3f}"]
        table.add_row(row["name"], " ".join(map(str, row["groups"])), *cells)
    return table
