"""One calibration judged on held-out crops, and many of them together."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.data.layouts import ImagePair
from edgesr.errors import DatasetError
from edgesr.export.calibration import held_out_pair
from edgesr.export.pipeline import MAX_DROP
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.metrics import psnr
from edgesr.quant.image import upscale_simulated
from edgesr.quant.scheme import QuantizedGraph

CROP_SIZE = 96
"""Side of a held-out crop in low-resolution pixels."""

MAX_CROPS = 8

_SMALLEST = 16
_WHITE = 255.0
_ENOUGH = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """A crop of a held-out image and what the float network makes of it.

    Attributes:
        name: of the image.
        lr: uint8 ``(h, w, 3)``.
        hr: uint8, ``scale`` times as large.
        wanted: float output in grey levels, clipped to [0, 255], not rounded.
        psnr_float: of the rounded float output against ``hr``, RGB without border, dB.
    """

    name: str
    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8]
    wanted: NDArray[np.float64]
    psnr_float: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One calibration, judged.

    Attributes:
        images: number of images it saw.
        seed: of the choice of images and of the crops.
        drop: PSNR that int8 loses against the rounded float output, both to HR, dB; mean of crops.
        psnr_to_float: of the int8 output against the float output, which is not rounded, dB.
    """

    images: int
    seed: int
    drop: float
    psnr_to_float: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Mean and sample standard deviation, in dB; ``std`` is None of a single trial."""

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """Return the figures of ``values``, of which there is at least one."""
        spread = len(values) >= _ENOUGH and bool(np.isfinite(values).all())
        std = statistics.stdev(values) if spread else None
        return cls(mean=statistics.fmean(values), std=std)


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Calibrations with one number of images, one a seed."""

    trials: tuple[Trial, ...]

    @property
    def images(self) -> int:
        """Number of images of each."""
        return self.trials[0].images

    @property
    def drop(self) -> Figure:
        """PSNR lost against the float network, dB."""
        return Figure.of([one.drop for one in self.trials])

    @property
    def psnr_to_float(self) -> Figure:
        """PSNR to the float output, dB."""
        return Figure.of([one.psnr_to_float for one in self.trials])


def held_out_crops(pairs: Sequence[ImagePair], scale: int, graph: Graph) -> tuple[HeldOut, ...]:
    """Cut eight crops of 96 pixels at most from held-out images, the images taking turns.

    Args:
        pairs: held-out images.
        scale: upscaling factor.
        graph: float network, its final clip dropped.

    Raises:
        DatasetError: no image has 16 low-resolution pixels a side.
    """
    queues: list[list[HeldOut]] = []
    for pair in pairs:
        lr, hr = held_out_pair(pair, scale)
        places = [(y, x) for y in _starts(lr.shape[0]) for x in _starts(lr.shape[1])]
        if min(lr.shape[:2]) >= _SMALLEST:
            queues.append([_crop((pair.name, lr, hr), place, scale, graph) for place in places])
    turns = max(map(len, queues), default=0)
    taken = [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]
    if not taken:
        raise DatasetError(
            f"{pairs[0].hr if pairs else 'held-out images'}: low-resolution side is below "
            f"{_SMALLEST} pixels; use larger images"
        )
    return tuple(taken[:MAX_CROPS])


def tried(
    quantized: QuantizedGraph, held_out: Sequence[HeldOut], *, images: int, seed: int
) -> Trial:
    """Judge one calibration by integer simulation."""
    drops, to_float = [], []
    for one in held_out:
        sr = upscale_simulated(quantized, one.lr).astype(np.float64)
        drops.append(one.psnr_float - psnr(sr, one.hr.astype(np.float64)))
        to_float.append(psnr(sr, one.wanted))
    return Trial(
        images=images,
        seed=seed,
        drop=statistics.fmean(drops),
        psnr_to_float=statistics.fmean(to_float),
    )


def scale_spreads(scales: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return ``(largest - smallest) / mean`` over seeds of every tensor's scale.

    Args:
        scales: step of the grid by tensor, one mapping a seed.
    """
    spreads = {}
    for name in scales[0]:
        values = [one[name] for one in scales]
        spreads[name] = (max(values) - min(values)) / statistics.fmean(values)
    return spreads


def stability_warnings(whole: Trials) -> tuple[str, ...]:
    """Return warnings where the drop is too large, or depends more on the crops than on int8."""
    mean, deviation = whole.drop.mean, whole.drop.std
    found = []
    if mean > MAX_DROP:
        found.append(
            f"the drop is {mean:.3f} dB with all {whole.images} images, above the {MAX_DROP:g} dB "
            "that export accepts; see the ranges, then try edgesr debug --int8"
        )
    if deviation is None:
        found.append("one seed says nothing of stability, so no number of images is recommended")
    elif deviation > abs(mean):
        found.append(
            f"over {len(whole.trials)} seeds the drop is {mean:+.4f} dB with a standard deviation "
            f"of {deviation:.4f} dB: the choice of crops moves it by more than int8 costs, so do "
            "not read much into it"
        )
    return tuple(found)


def _starts(size: int) -> list[int]:
    """Return where crops of 96 begin that cover ``size``; they overlap where they do not fit."""
    count = max(1, -(-size // CROP_SIZE))
    last = max(0, size - CROP_SIZE)
    return [round(index * last / max(1, count - 1)) for index in range(count)]


def _crop(
    pair: tuple[str, NDArray[np.uint8], NDArray[np.uint8]],
    place: tuple[int, int],
    scale: int,
    graph: Graph,
) -> HeldOut:
    name, lr, hr = pair
    top, left = place
    low = np.ascontiguousarray(lr[top : top + CROP_SIZE, left : left + CROP_SIZE])
    height, width = low.shape[:2]
    rows = slice(top * scale, (top + height) * scale)
    high = np.ascontiguousarray(hr[rows, left * scale : (left + width) * scale])
    sr = execute(graph, torch.from_numpy(low)[None].float())[0].numpy().astype(np.float64)
    wanted = sr.clip(0.0, _WHITE)
    return HeldOut(
        name=name,
        lr=low,
        hr=high,
        wanted=wanted,
        psnr_float=psnr(np.rint(wanted), high.astype(np.float64)),
    )
