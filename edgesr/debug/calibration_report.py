"""How good and how steady a calibration is: ranges, seeds of crops, number of images."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesr.data.layouts import ImagePair
from edgesr.debug.calibration_trials import (
    HeldOut,
    Trial,
    Trials,
    held_out_crops,
    scale_spreads,
    stability_warnings,
    tried,
)
from edgesr.errors import CheckpointError
from edgesr.export.calibration import CalibrationSet, calibration_set, choose_images
from edgesr.export.calibration_coverage import (
    DeadChannel,
    TensorCoverage,
    dead_channels,
    tensor_coverage,
)
from edgesr.export.calibration_warnings import (
    dead_warnings,
    num_channels,
    range_warnings,
    seen_warnings,
    set_warnings,
)
from edgesr.export.pipeline import MAX_DROP
from edgesr.graph.graph import Graph
from edgesr.models.checkpoint import LoadedModel
from edgesr.models.quantized import float_graph, load_exportable
from edgesr.quant.ptq import PtqResult, quantize_graph
from edgesr.quant.recipe import OURS, PtqRecipe
from edgesr.zoo.find import find_weights

DEFAULT_COUNTS = (1, 2, 4, 8, 16, 32)
DEFAULT_SEEDS = 5
CURVE_SEEDS = 3
"""Choices of images for a point of the curve, at most: more would take minutes."""

Tick = Callable[[], None]
Start = Callable[[int], Tick]


@dataclass(frozen=True, kw_only=True)
class CalibrationRequest:
    """What to measure.

    Attributes:
        data: folder of held-out images; None takes those that the run held out.
        calibration: folder of training images that set the ranges; None takes those of the run.
        observer: estimator of ranges, a key of ``OBSERVERS``; None is what ``export`` uses.
        seeds: how often the whole set is cut anew, 1 or more.
        counts: numbers of images for the curve, rising, 1 or more each.
    """

    data: Path | None = None
    calibration: Path | None = None
    observer: str | None = None
    seeds: int = DEFAULT_SEEDS
    counts: tuple[int, ...] = DEFAULT_COUNTS


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationReport:
    """Everything that was found.

    Attributes:
        loaded: the float network.
        observer: estimator of ranges.
        source: what the calibration images are.
        held_out_source: what the held-out images are.
        images: number of calibration images of the whole set.
        crops: the whole set as cut with seed 0.
        held_out: names of the held-out images, one a crop.
        psnr_float: mean PSNR of the rounded float output against HR, RGB without border, dB.
        tensors: ranges, with seed 0 and the whole set.
        dead: channels that carry nothing, with seed 0 and the whole set.
        channels: number of channels of all trained layers.
        whole: the whole set, cut with other seeds.
        spreads: ``(largest - smallest) / mean`` of the scale over these seeds, by tensor.
        curve: by rising number of images.
        skipped: numbers of images that were asked for and are not there.
        recommended: smallest number of images from which on the mean drop stays within one
            standard deviation of the whole set's; None where there is no deviation or no such
            number.
        warnings: what is wrong, with numbers.
        seconds: wall time.
    """

    loaded: LoadedModel
    observer: str
    source: str
    held_out_source: str
    images: int
    crops: CalibrationSet
    held_out: tuple[str, ...]
    psnr_float: float
    tensors: tuple[TensorCoverage, ...]
    dead: tuple[DeadChannel, ...]
    channels: int
    whole: Trials
    spreads: Mapping[str, float]
    curve: tuple[Trials, ...]
    skipped: tuple[int, ...]
    recommended: int | None
    warnings: tuple[str, ...]
    seconds: float


def calibration_report(
    source: str | Path, request: CalibrationRequest, *, start: Start = lambda _: lambda: None
) -> CalibrationReport:
    """Load a float network and report on its calibration, see ``report_of``.

    Args:
        source: run folder, weights file, or the name of a shipped network.
        request: images and how often.
        start: gets the number of quantizations to come, returns what is called after each.

    Raises:
        CheckpointError: no such network, or its ranges were trained.
        GraphError: the network has no int8 form, or a tensor takes NaN or infinity.
        DataError: images are missing or too small, or no such observer.
    """
    loaded, trained = load_exportable(find_weights(source))
    if trained is not None:
        raise CheckpointError(
            f"{loaded.path}: its ranges were trained and not calibrated; name the float run that "
            "it came from"
        )
    return report_of(loaded, request, start=start)


def report_of(
    loaded: LoadedModel, request: CalibrationRequest, *, start: Start = lambda _: lambda: None
) -> CalibrationReport:
    """Calibrate a network again and again and measure what comes of it.

    Int8 pictures are those of the integer simulation, which an exported file equals.

    Args:
        loaded: float network.
        request: images and how often.
        start: gets the number of quantizations to come, returns what is called after each.

    Raises:
        GraphError: the network has no int8 form, or a tensor takes NaN or infinity.
        DataError: images are missing or too small, or no such observer.
    """
    began = time.perf_counter()
    choice = choose_images(
        loaded.path, loaded.scale, calibration=request.calibration, held_out=request.data
    )
    graph = float_graph(loaded.module, loaded.descriptor.name)
    held_out = held_out_crops(choice.held_out, loaded.scale, graph)
    pairs = choice.calibration
    counts = [count for count in request.counts if count <= len(pairs)]
    fewer = [count for count in counts if count < len(pairs)]
    repeats = min(request.seeds, CURVE_SEEDS)
    bench = _Bench(
        graph=graph,
        pairs=pairs,
        scale=loaded.scale,
        recipe=PtqRecipe(observer=request.observer) if request.observer else OURS,
        held_out=held_out,
        tick=start(request.seeds + repeats * len(fewer)),
    )
    crops, ptq, trials, scales = bench.whole(request.seeds)
    whole = Trials(trials=trials)
    points = {len(pairs): whole}
    for count in fewer:
        points[count] = Trials(trials=tuple(bench.of(count, seed) for seed in range(repeats)))
    curve = tuple(points[count] for count in counts)
    images = [one.lr for one in held_out]
    tensors = tensor_coverage(ptq, images)
    dead = dead_channels(ptq.quantized.graph, (one.inputs for one in crops.batches), images)
    skipped = tuple(count for count in request.counts if count > len(pairs))
    return CalibrationReport(
        loaded=loaded,
        observer=ptq.calibration.observer,
        source=choice.source,
        held_out_source=choice.held_out_source,
        images=len(pairs),
        crops=crops,
        held_out=tuple(one.name for one in held_out),
        psnr_float=statistics.fmean(one.psnr_float for one in held_out),
        tensors=tensors,
        dead=dead,
        channels=num_channels(ptq),
        whole=whole,
        spreads=scale_spreads(scales),
        curve=curve,
        skipped=skipped,
        recommended=recommended(curve, whole),
        warnings=(
            *set_warnings(crops),
            *seen_warnings(ptq.calibration, ptq.quantized.qparams),
            *range_warnings(tensors),
            *dead_warnings(dead, num_channels(ptq)),
            *stability_warnings(whole),
            *_skipped_warnings(skipped, len(pairs)),
        ),
        seconds=time.perf_counter() - began,
    )


def recommended(curve: Sequence[Trials], whole: Trials) -> int | None:
    """Return the smallest number from which on the mean drop stays within one std of the whole's.

    A smaller drop than the whole set's is welcome; a few images that are lucky once, while more of
    them are worse, are not. Where the whole set loses more than ``export`` accepts, none will do.

    Args:
        curve: points by rising number of images.
        whole: the whole set, over seeds.
    """
    if whole.drop.std is None or whole.drop.mean > MAX_DROP:
        return None
    limit = whole.drop.mean + whole.drop.std
    best = None
    for point in reversed(curve):
        if point.drop.mean > limit:
            break
        best = point.images
    return best


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """One network and its images, to be calibrated in many ways."""

    graph: Graph
    pairs: tuple[ImagePair, ...]
    scale: int
    recipe: PtqRecipe
    held_out: Sequence[HeldOut]
    tick: Tick

    def whole(
        self, seeds: int
    ) -> tuple[CalibrationSet, PtqResult, tuple[Trial, ...], list[dict[str, float]]]:
        """Calibrate with all images, once a seed; crops and result are those of seed 0."""
        crops, ptq, first = self._one(self.pairs, 0)
        trials, scales = [first], [_scales(ptq)]
        for seed in range(1, seeds):
            _, other, trial = self._one(self.pairs, seed)
            trials.append(trial)
            scales.append(_scales(other))
        return crops, ptq, tuple(trials), scales

    def of(self, count: int, seed: int) -> Trial:
        """Calibrate with ``count`` images that ``seed`` picks; more images hold the fewer."""
        order = np.random.default_rng(seed).permutation(len(self.pairs))[:count]
        return self._one([self.pairs[index] for index in sorted(order.tolist())], seed)[2]

    def _one(
        self, pairs: Sequence[ImagePair], seed: int
    ) -> tuple[CalibrationSet, PtqResult, Trial]:
        crops = calibration_set(pairs, self.scale, seed=seed)
        ptq = quantize_graph(self.graph, crops.batches, self.recipe)
        trial = tried(ptq.quantized, self.held_out, images=len(pairs), seed=seed)
        self.tick()
        return crops, ptq, trial


def _scales(ptq: PtqResult) -> dict[str, float]:
    return {name: float(grid.scale) for name, grid in ptq.quantized.qparams.items()}


def _skipped_warnings(skipped: Sequence[int], images: int) -> tuple[str, ...]:
    if not skipped:
        return ()
    asked = ", ".join(map(str, skipped))
    return (f"the curve ends at {images} images, there are no more; left out: {asked}",)
