"""From a checkpoint to the figures of its int8 network."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.data.layouts import ImagePair
from edgesr.debug.figures import decibels
from edgesr.debug.first_pass import Pixels, Tick, float_values
from edgesr.debug.probe import Probed, num_runs, probe
from edgesr.errors import CheckpointError, DataError
from edgesr.export.calibration import calibration_set, choose_images, held_out_pair
from edgesr.models.checkpoint import LoadedModel
from edgesr.models.quantized import float_graph, load_exportable
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.recipe import OURS, PtqRecipe
from edgesr.quant.scheme import QuantizedGraph
from edgesr.zoo.find import find_weights

CROP_SIZE = 96
"""Longest side of a crop in low-resolution pixels."""

DEFAULT_CROPS = 12
DEFAULT_OBSERVER = OURS.observer

_SMALLEST = 16
_WHITE = 255.0

Start = Callable[[int], Tick]


@dataclass(frozen=True, kw_only=True)
class DebugRequest:
    """What to debug with.

    Attributes:
        data: folder of images to compare on; None takes those that the run held out.
        calibration: folder of training images that set the ranges; None takes those of the run.
        observer: estimator of ranges, a key of ``OBSERVERS``; None is what ``export`` uses.
        crops: number of crops to compare on, at most.
        seed: of the calibration crops.
        model: network, where a weights file does not name it.
        scale: upscaling factor, where a weights file does not name it.
    """

    data: Path | None = None
    calibration: Path | None = None
    observer: str | None = None
    crops: int = DEFAULT_CROPS
    seed: int = 0
    model: str | None = None
    scale: int | None = None


@dataclass(frozen=True, kw_only=True)
class Crop:
    """Where a crop was cut: ``left`` and ``top`` in low-resolution pixels of the held-out image."""

    image: str
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Debugging:
    """An int8 network and what was found in it.

    Attributes:
        loaded: float network.
        quantized: int8 network.
        observer: estimator of the ranges; None where they were trained.
        source: images that set the ranges; None where they were trained.
        held_out_source: images that were compared on.
        crops: places of those images.
        probed: figures and pictures.
        psnr_to_origin: trained integers against the float network that training started from, dB;
            None where they were not trained.
        seconds: wall time by stage.
    """

    loaded: LoadedModel
    quantized: QuantizedGraph
    observer: str | None
    source: str | None
    held_out_source: str
    crops: tuple[Crop, ...]
    probed: Probed
    psnr_to_origin: float | None
    seconds: dict[str, float]


def debug_run(
    source: str | Path, request: DebugRequest, *, start: Start = lambda _: lambda: None
) -> Debugging:
    """Quantize a network as ``export`` does, or take its trained integers, and probe it.

    Args:
        source: run folder, weights file, or the name of a shipped network.
        request: images and ranges.
        start: gets the number of runs to come at most and returns what is called after each.

    Raises:
        CheckpointError: no such network, or flags that do not fit trained integers.
        GraphError: the network has no int8 form, or a tensor takes NaN or infinity.
        DataError: images are missing or too small.
    """
    loaded, trained = load_exportable(
        find_weights(source), model=request.model, scale=request.scale
    )
    if trained is not None and (request.calibration or request.observer):
        raise CheckpointError(
            f"{loaded.path}: its ranges were trained; drop --calibration and --observer, or debug "
            "the float run that it came from"
        )
    choice = choose_images(
        loaded.path, loaded.scale, calibration=request.calibration, held_out=request.data
    )
    places, images = _crops(choice.held_out, loaded.scale, request.crops)
    began = time.perf_counter()
    graph = float_graph(loaded.module, loaded.descriptor.name)
    float_values(graph, images[0])
    observer = None
    quantized = trained
    if quantized is None:
        observer = request.observer or DEFAULT_OBSERVER
        found = calibration_set(choice.calibration, loaded.scale, seed=request.seed)
        quantized = quantize_graph(graph, found.batches, PtqRecipe(observer=observer)).quantized
    ready = time.perf_counter()
    probed = probe(quantized, images, tick=start(num_runs(quantized, len(images))))
    return Debugging(
        loaded=loaded,
        quantized=quantized,
        observer=observer,
        source=None if trained else choice.source,
        held_out_source=choice.held_out_source,
        crops=places,
        probed=probed,
        psnr_to_origin=None if trained is None else _to_origin(loaded, images, probed.int8s),
        seconds={"quantize": ready - began, "probe": time.perf_counter() - ready},
    )


def _crops(
    pairs: Sequence[ImagePair], scale: int, count: int
) -> tuple[tuple[Crop, ...], list[Pixels]]:
    """Cut held-out images into equal parts of at most 96 pixels a side, the images taking turns."""
    queues: list[list[tuple[Crop, Pixels]]] = []
    for pair in pairs:
        lr, _ = held_out_pair(pair, scale)
        counts = [-(-size // CROP_SIZE) for size in lr.shape[:2]]
        height, width = (size // n for size, n in zip(lr.shape[:2], counts, strict=True))
        queue = []
        for row, column in product(*map(range, counts)):
            top, left = row * height, column * width
            pixels = lr[top : top + height, left : left + width]
            place = Crop(image=pair.name, left=left, top=top, width=width, height=height)
            if min(height, width) >= _SMALLEST:
                queue.append((place, np.ascontiguousarray(pixels)))
        queues.append(queue)
    turns = max(map(len, queues), default=0)
    chosen = [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]
    if not chosen:
        raise DataError(
            f"{pairs[0].hr}: low-resolution side is below {_SMALLEST} pixels; use larger images"
        )
    chosen = chosen[:count]
    return tuple(place for place, _ in chosen), [pixels for _, pixels in chosen]


@torch.no_grad()
def _to_origin(
    loaded: LoadedModel, images: Sequence[Pixels], int8s: Sequence[NDArray[np.float32]]
) -> float:
    total, values = 0.0, 0
    for lr, found in zip(images, int8s, strict=True):
        image = torch.from_numpy(lr).permute(2, 0, 1)[None].float()
        wanted = loaded.module(image)[0].clamp(0.0, _WHITE).permute(1, 2, 0).numpy()
        total += float(np.square(found.astype(np.float64) - wanted).sum())
        values += found.size
    return decibels(_WHITE**2, total / values)
