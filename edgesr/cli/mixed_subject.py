"""What ``edgesr mixed`` works on: a plain network or the steps of a denoiser, with its images."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgesr.bench.mixed import Figures, Subject
    from edgesr.models.checkpoint import LoadedModel
    from edgesr.quant.scheme import QuantizedGraph

_GREY_PEAK = 255.0
_DENOISER_PEAK = 2.0
"""Predictions are of images in [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Images, seed, candidates, and how many random assignments; see ``edgesr mixed``."""

    data: list[Path]
    limit: int | None
    calibration: Path | None
    seed: int
    candidates: tuple[str, ...]
    random: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A subject and what results say of it.

    Attributes:
        subject: networks and how they are judged.
        loaded: the float network; None of a denoiser.
        network: facts, as JSON values.
        sets: images by name, as JSON values.
    """

    subject: "Subject"
    loaded: "LoadedModel | None"
    network: dict[str, Any]
    sets: dict[str, Any]


def open_subject(weights: Path, request: Request) -> Opened:
    """Load a network or denoiser, calibrate it at all widths, read what it is measured on.

    Raises:
        DataError: candidates that do not exist or do not fit, or images are missing.
        CheckpointError: the file holds no float network.
        GraphError: the network has no integer form.
    """
    from edgesr.models.checkpoint import is_denoiser, weights_file

    if is_denoiser(weights_file(weights)):
        return _denoiser(weights, request)
    return _plain(weights, request)


def _widths(request: Request) -> list[int]:
    from edgesr.bench.mixed import UNIFORM
    from edgesr.quant.scheme import SCHEMES

    return [SCHEMES[name].activation_bits for name in (*request.candidates, *UNIFORM)]


def _plain(weights: Path, request: Request) -> Opened:
    from edgesr.bench.mixed import Subject
    from edgesr.bench.quantization import measure_quantized
    from edgesr.cli.console import say
    from edgesr.cli.quantize import image_sets
    from edgesr.export.calibration import calibration_set, choose_images
    from edgesr.files import sha256_file
    from edgesr.models.checkpoint import load_model
    from edgesr.models.quantized import float_graph
    from edgesr.quant.grids import grey_ends
    from edgesr.quant.mixed import choices
    from edgesr.quant.mixed_ptq import prepare
    from edgesr.quant.recipe import OURS

    loaded = load_model(weights)
    graph = float_graph(loaded.module, loaded.descriptor.name)
    choices(graph, request.candidates)
    held_out = request.data[0] if request.data else None
    choice = choose_images(
        loaded.path, loaded.scale, calibration=request.calibration, held_out=held_out
    )
    crops = calibration_set(choice.calibration, loaded.scale, seed=request.seed)
    said = f"{crops.count} crops of {len(crops.images)} images"
    say(f"calibrating on {said} ({choice.source})")
    sets = image_sets(loaded, request.data, choice, request.limit)
    prepared = prepare(
        {0: graph},
        crops.batches,
        widths=_widths(request),
        ends=grey_ends(graph),
        observer=OURS.observer,
    )

    def figures(integers: "Sequence[QuantizedGraph]") -> "Figures":
        found = {images.name: measure_quantized(integers[0], images) for images in sets}
        return {
            name: {"psnr_to_float": round(one.psnr_to_float, 6), "drop": round(one.drop, 6)}
            for name, one in found.items()
        }

    return Opened(
        subject=Subject(prepared=prepared, figures=figures, peak=_GREY_PEAK),
        loaded=loaded,
        network={
            "model": loaded.descriptor.name,
            "scale": loaded.scale,
            "sha256": sha256_file(loaded.path),
            "calibration": said,
            "digest": crops.digest,
        },
        sets={images.name: {"images": len(images.lr)} for images in sets},
    )


def _denoiser(weights: Path, request: Request) -> Opened:
    from edgesr.bench.mixed import Subject
    from edgesr.bench.step_methods import Method
    from edgesr.bench.step_quantization import figures as measure
    from edgesr.bench.step_quantization import sampled_by
    from edgesr.cli.quantize_case import CalibrationSets, open_case
    from edgesr.diffusion.integer_steps import (
        IntegerNetwork,
        sampled_timesteps,
        step_graphs,
        stepwise_model,
    )
    from edgesr.quant.mixed import choices
    from edgesr.quant.mixed_ptq import prepare
    from edgesr.quant.recipe import OURS
    from edgesr.quant.stepwise import INPUT_LEVELS

    case = open_case(weights, request)
    name, path = case.loaded.descriptor.name, case.paths[1]
    graphs = step_graphs(case.loaded.module, name, sampled_timesteps(path))
    first = next(iter(graphs.values()))
    choices(first, request.candidates)
    with tempfile.TemporaryDirectory() as folder:
        batches = list(CalibrationSets(Path(folder), case).of(Method(recipe=OURS)))
    prepared = prepare(
        graphs,
        batches,
        widths=_widths(request),
        ends={spec.name: INPUT_LEVELS for spec in first.inputs},
        observer=OURS.observer,
    )
    floats = {images.name: measure(images, None) for images in case.sets}

    def figures(integers: "Sequence[QuantizedGraph]") -> "Figures":
        steps = dict(zip(graphs, integers, strict=True))
        network = IntegerNetwork(stepwise_model(case.loaded, steps, range(len(steps))))
        sample = sampled_by(network, *case.paths, seed=case.seed, centre=case.deployed.centre)
        found = {images.name: measure(images, sample) for images in case.sets}
        return {
            name: {
                "psnr_to_float": one["psnr_to_float"],
                "drop": round(floats[name]["psnr"] - one["psnr"], 6),
            }
            for name, one in found.items()
        }

    return Opened(
        subject=Subject(prepared=prepared, figures=figures, peak=_DENOISER_PEAK),
        loaded=None,
        network=case.network,
        sets={images.name: {"images": len(images.lr)} for images in case.sets},
    )
