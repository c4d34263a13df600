"""Measure an upscaler on a set of images, with bicubic interpolation beside it."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr import __version__
from edgesr.data.layouts import Dataset, ImagePair, read_pair
from edgesr.errors import DataError, DatasetError
from edgesr.files import sha256_file
from edgesr.imresize import upscale_bicubic
from edgesr.metrics import PROTOCOLS, Score, measure
from edgesr.perception import ImageMetric, load_metrics
from edgesr.upscalers import Upscaler

Scores = Mapping[str, Score]
"""Protocol name -> score."""


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """One image's results.

    Attributes:
        name: the image's name in its dataset.
        hr_sha256: of the high-resolution file.
        lr_sha256: of the low-resolution file; None where it was made from the other.
        scores: of the upscaler.
        bicubic: of bicubic interpolation.
        colour_bias: mean of SR minus HR for red, green and blue, in grey levels.
        seconds: wall time of upscaling, without file access.
        perceptual: metric name -> value of the upscaler; empty where none was asked for.
        perceptual_bicubic: the same of bicubic interpolation.
    """

    name: str
    hr_sha256: str
    lr_sha256: str | None
    scores: Scores
    bicubic: Scores
    colour_bias: tuple[float, float, float]
    seconds: float
    perceptual: Mapping[str, float] = field(default_factory=dict)
    perceptual_bicubic: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of one upscaler on one dataset.

    Attributes:
        upscaler: its name.
        scale: its upscaling factor.
        dataset: what was found where, in one line.
        images: one result an image.
    """

    upscaler: str
    scale: int
    dataset: str
    images: tuple[ImageResult, ...]

    @property
    def scores(self) -> Scores:
        """Means over images of the upscaler's scores."""
        return mean_scores([image.scores for image in self.images])

    @property
    def bicubic(self) -> Scores:
        """Means over images of the scores of bicubic interpolation."""
        return mean_scores([image.bicubic for image in self.images])

    @property
    def perceptual(self) -> Mapping[str, float]:
        """Means over images of the upscaler's perceptual metrics; empty where not asked for."""
        return _means([image.perceptual for image in self.images])

    @property
    def perceptual_bicubic(self) -> Mapping[str, float]:
        """Means over images of the perceptual metrics of bicubic interpolation."""
        return _means([image.perceptual_bicubic for image in self.images])

    @property
    def colour_bias(self) -> tuple[float, float, float]:
        """Means over images of SR minus HR for red, green and blue, in grey levels."""
        red, green, blue = (
            fmean(image.colour_bias[channel] for image in self.images) for channel in range(3)
        )
        return red, green, blue

    @property
    def seconds(self) -> float:
        """Wall time of upscaling all images, without file access."""
        return sum(image.seconds for image in self.images)


def evaluate(  # noqa: PLR0913 - one call, one place
    upscaler: Upscaler,
    dataset: Dataset,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    *,
    metrics: Sequence[str] = (),
    limit: int | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Upscale every LR image of ``dataset`` and compare it with its HR image.

    Args:
        upscaler: what is measured.
        dataset: pairs for the upscaler's scale.
        protocols: names in ``PROTOCOLS``.
        metrics: names of ``edgesr.perception`` to measure as well.
        limit: only the first so many images.
        on_image: called with the number of images done and their total after each.

    Raises:
        DatasetError: no images, another scale, or an image too small for the protocols.
        DataError: an unknown protocol or metric, or an image that does not fit the upscaler.
        ImageError: an image cannot be read.
        MissingDependencyError: the package or the weights of a metric are not there.
    """
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown or not protocols:
        found = f"protocol {unknown[0]!r} is unknown" if unknown else "no protocol is named"
        raise DataError(f"{found}; choose from {', '.join(PROTOCOLS)}")
    if dataset.scale != upscaler.scale:
        raise DatasetError(
            f"{dataset.root}: pairs are for x{dataset.scale}, but {upscaler.name} upscales "
            f"x{upscaler.scale}; choose matching ones"
        )
    perceptual = load_metrics(metrics)
    pairs = dataset.pairs[:limit]
    if not pairs:
        raise DatasetError(
            f"{dataset.root}: no images to evaluate on; check the path and the limit"
        )
    results = []
    for number, pair in enumerate(pairs, start=1):
        results.append(_evaluate_pair(upscaler, pair, protocols, perceptual))
        if on_image is not None:
            on_image(number, len(pairs))
    return Evaluation(
        upscaler=upscaler.name,
        scale=upscaler.scale,
        dataset=dataset.describe(),
        images=tuple(results),
    )


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """Return the mean of PSNR and of SSIM over images, for each protocol."""
    listed = list(scores)
    return {
        name: Score(
            psnr=fmean(one[name].psnr for one in listed),
            ssim=fmean(one[name].ssim for one in listed),
        )
        for name in listed[0]
    }


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return ``evaluation`` as JSON values; the PSNR of equal images, infinite, becomes null."""
    return {
        "schema": "edgesr/evaluation/1",
        "edgesr": __version__,
        "upscaler": evaluation.upscaler,
        "scale": evaluation.scale,
        "dataset": evaluation.dataset,
        "count": len(evaluation.images),
        "mean": _json_scores(evaluation.scores),
        "bicubic": _json_scores(evaluation.bicubic),
        "colour_bias": list(evaluation.colour_bias),
        "seconds": evaluation.seconds,
        **_json_perceptual(evaluation),
        "images": [
            {
                "name": image.name,
                "hr_sha256": image.hr_sha256,
                "lr_sha256": image.lr_sha256,
                "scores": _json_scores(image.scores),
                "bicubic": _json_scores(image.bicubic),
                "colour_bias": list(image.colour_bias),
                "seconds": image.seconds,
                **_json_perceptual(image),
            }
            for image in evaluation.images
        ],
    }


def _evaluate_pair(
    upscaler: Upscaler,
    pair: ImagePair,
    protocols: Sequence[str],
    perceptual: Mapping[str, ImageMetric],
) -> ImageResult:
    lr, hr = read_pair(pair, upscaler.scale)
    start = time.perf_counter()
    sr = upscaler(lr)
    seconds = time.perf_counter() - start
    bicubic = sr if upscaler.name == "bicubic" else upscale_bicubic(lr, upscaler.scale)
    try:
        scores = _measure_all(sr, hr, upscaler.scale, protocols)
        baseline = _measure_all(bicubic, hr, upscaler.scale, protocols)
        looks = {name: see(sr, hr, upscaler.scale) for name, see in perceptual.items()}
        baseline_looks = looks
        if bicubic is not sr:
            baseline_looks = {n: see(bicubic, hr, upscaler.scale) for n, see in perceptual.items()}
    except DataError as error:
        raise DatasetError(f"{pair.hr}: {error}") from error
    return ImageResult(
        name=pair.name,
        hr_sha256=sha256_file(pair.hr),
        lr_sha256=None if pair.lr is None else sha256_file(pair.lr),
        scores=scores,
        bicubic=baseline,
        colour_bias=_colour_bias(sr, hr),
        seconds=seconds,
        perceptual=looks,
        perceptual_bicubic=baseline_looks,
    )


def _measure_all(
    sr: NDArray[np.uint8], hr: NDArray[np.uint8], scale: int, protocols: Sequence[str]
) -> Scores:
    return {name: measure(sr, hr, scale=scale, protocol=name) for name in protocols}


def _colour_bias(sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> tuple[float, float, float]:
    red, green, blue = (sr.mean(axis=(0, 1)) - hr.mean(axis=(0, 1))).tolist()
    return red, green, blue


def _means(values: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    return {name: fmean(one[name] for one in values) for name in values[0]}


def _json_perceptual(of: Evaluation | ImageResult) -> dict[str, dict[str, float]]:
    """Return the keys of the perceptual metrics; none where none was asked for."""
    if not of.perceptual:
        return {}
    return {
        "perceptual": dict(of.perceptual),
        "perceptual_bicubic": dict(of.perceptual_bicubic),
    }


def _json_scores(scores: Scores) -> dict[str, dict[str, float | None]]:
    return {
        name: {"psnr": score.psnr if math.isfinite(score.psnr) else None, "ssim": score.ssim}
        for name, score in scores.items()
    }
