"""``edgesr quantize DENOISER --compare``: ways to quantize a diffusion denoiser, compared."""

import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesr.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from edgesr.bench.step_methods import Method
    from edgesr.diffusion.integer_steps import QuantizedDenoiser
    from edgesr.diffusion.path import Path as DiffusionPath
    from edgesr.models.denoiser_files import LoadedDenoiser
    from edgesr.quant.calibrate import CalibrationBatch

_IMAGES = 8
"""Calibration photographs of a comparison, two crops of 64 pixels each: it quantizes often."""
_CROP = 64


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks of a comparison; see ``edgesr quantize``."""

    only: list[str] | None
    data: list[Path]
    limit: int | None
    calibration: Path | None
    sets: Path | None
    seed: int
    results: list[Path]
    json: bool


def compare_denoiser(weights: Path, asked: Asked) -> None:
    """Compare ways to quantize the denoiser in ``weights`` and print the figures.

    Raises:
        UsageError: no method has such a name.
    """
    from edgesr.bench.environment import environment
    from edgesr.bench.step_methods import METHODS
    from edgesr.bench.step_quantization import (
        RoundedInputs,
        document,
        figures,
        read_trajectories,
        sampled_by,
    )
    from edgesr.cli.console import out, say
    from edgesr.data.layouts import find_dataset
    from edgesr.diffusion.ranges import from_grey_levels
    from edgesr.export.calibration import calibration_set, choose_images
    from edgesr.files import sha256_file, write_json
    from edgesr.models.denoiser_files import load_denoiser
    from edgesr.upscalers.diffusion import path_of, sampling_path

    methods = _chosen(dict(METHODS), asked.only)
    loaded = load_denoiser(weights)
    loaded.want_bicubic("edgesr quantize")
    whole, path = path_of(loaded.schedule, loaded.path), sampling_path(loaded, None)
    choice = choose_images(
        loaded.path,
        loaded.scale,
        calibration=asked.calibration,
        held_out=asked.data[0] if asked.data else None,
    )
    photographs = choice.calibration[:: max(1, len(choice.calibration) // _IMAGES)][:_IMAGES]
    crops = calibration_set(photographs, loaded.scale, seed=asked.seed)
    lrs = [
        from_grey_levels(batch.inputs.permute(0, 3, 1, 2))
        for batch in crops.batches
        if max(batch.inputs.shape[1:3]) <= _CROP
    ]
    count = sum(map(len, lrs))
    say(f"calibrating on {count} crops of {len(crops.images)} images ({choice.source})")
    sample = sampled_by(loaded.module, whole, path, seed=asked.seed)
    listed = {folder.name: find_dataset(folder, loaded.scale).pairs for folder in asked.data}
    sets = [
        read_trajectories(pairs, name, loaded.scale, sample=sample, limit=asked.limit)
        for name, pairs in (listed or {"held-out": choice.held_out}).items()
    ]
    network = {
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "sha256": sha256_file(loaded.path),
        "schedule": loaded.schedule.name,
        "parameters": dict(loaded.schedule.parameters),
        "timesteps": [int(one) for one in path.timesteps[:0:-1]],
        "calibration": f"{count} crops of {len(crops.images)} images",
        "digest": crops.digest,
        "seed": asked.seed,
    }
    found = document([], network=network, sets=sets, environment=environment())
    found["disturbances"] = []
    found |= _earlier(asked.results, found)
    rounded = sampled_by(RoundedInputs(loaded.module), whole, path, seed=asked.seed)
    for images in sets:
        facts = found["sets"][images.name]
        facts["rounded"] = facts.get("rounded") or figures(images, rounded)
    done = {row["name"] for row in found["rows"]}
    kept = nullcontext(asked.sets) if asked.sets else tempfile.TemporaryDirectory()
    with kept as folder:
        source = _Sets(Path(str(folder)), loaded, (whole, path), lrs, network)
        left = {name: method for name, method in methods.items() if name not in done}
        for row, denoiser in _rows(left, source, sets):
            found["rows"].append(row)
            if row["name"] == "W8A8: ours, all parts":
                found["disturbances"] = _disturbances(loaded, denoiser)
            order = list(METHODS)
            found["rows"].sort(key=lambda one: order.index(one["name"]))
            for result in asked.results:
                write_json(result, found)
    if asked.json:
        out.print_json(data=found)
    else:
        out.print(_table(found))


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
    return {key: found[key] for key in ("rows", "sets", "disturbances")}


class _Sets:
    """Calibration sets by kind, made when they are asked for."""

    def __init__(
        self,
        folder: Path,
        loaded: "LoadedDenoiser",
        paths: "tuple[DiffusionPath, DiffusionPath]",
        lrs: "Sequence[Any]",
        network: dict[str, Any],
    ) -> None:
        self.folder, self.loaded, self.paths = folder, loaded, paths
        self._lrs, self.network = lrs, network

    def of(self, method: "Method") -> "Sequence[CalibrationBatch]":
        from edgesr.diffusion.calibration_files import SetFacts, make_set

        facts = SetFacts(
            model_sha256=self.network["sha256"],
            scale=self.network["scale"],
            schedule=self.network["schedule"],
            parameters=self.network["parameters"],
            timesteps=tuple(self.network["timesteps"]),
            kind=method.kind,
            count=None,
            images_sha256=self.network["digest"],
            seed=self.network["seed"],
        )
        folder = self.folder / method.kind
        return make_set(folder, self.loaded, *self.paths, self._lrs, facts=facts)


def _rows(
    methods: "dict[str, Method]", source: _Sets, sets: "Sequence[Any]"
) -> "Iterator[tuple[dict[str, Any], QuantizedDenoiser]]":
    from edgesr.bench.step_quantization import row
    from edgesr.cli.console import say
    from edgesr.diffusion.integer_steps import (
        measure_corrections,
        quantize_denoiser,
        with_corrections,
    )

    path = source.paths[1]
    groups = {"one": 1, "each": path.num_steps, "chosen": None}
    for name, method in methods.items():
        say(f"quantizing: {name}")
        batches = source.of(method)
        start = time.perf_counter()
        denoiser = quantize_denoiser(
            source.loaded, path, batches, method.recipe, groups=groups[method.grids]
        )
        model = denoiser.model
        if method.corrected:
            model = with_corrections(model, measure_corrections(denoiser, batches))
        seconds = time.perf_counter() - start
        seed = source.network["seed"]
        yield row(name, model, sets, source.paths, seed=seed, seconds=seconds), denoiser


def _disturbances(loaded: "LoadedDenoiser", denoiser: "QuantizedDenoiser") -> list[dict[str, Any]]:
    from edgesr.diffusion.temporal_features import disturbances

    return [{**asdict(one), "chosen": one.chosen} for one in disturbances(loaded.module, denoiser)]


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
