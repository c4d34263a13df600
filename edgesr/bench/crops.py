"""The worst places of images, cut out side by side: LR, bicubic, every model, HR."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgesr.bench.report_data import Model, ReportData
from edgesr.data.layouts import Dataset, ImagePair, read_pair
from edgesr.errors import EdgesrError
from edgesr.imresize import upscale_bicubic
from edgesr.metrics import psnr
from edgesr.upscalers import Upscaler, load_upscaler

SIDE = 120
"""Side of a crop in high-resolution pixels; a multiple of 2, 3 and 4."""

MAX_BYTES = 9_000_000
"""Of all crops together, as text in the page; further rows are left out."""

_STEP = 12
_BICUBIC_REACH = 4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One cut-out: a PNG as a data URI, and its PSNR against HR in dB (RGB) where it has one."""

    title: str
    uri: str
    psnr: float | None


@dataclass(frozen=True, kw_only=True)
class CropRow:
    """One place in one image.

    Attributes:
        image: its name.
        place: left and top in high-resolution pixels.
        why: the model that does worst there.
        pictures: LR, bicubic, models, HR.
    """

    image: str
    place: tuple[int, int]
    why: str
    pictures: tuple[Picture, ...]


def worst_images(report: ReportData, count: int) -> list[tuple[Model, str]]:
    """Return models and the images where they gain least over bicubic, models taking turns."""
    queues = []
    for model in report.models:
        images = model.images.get(report.protocol, ())
        ranked = sorted(
            (image for image in images if image.psnr is not None and image.bicubic is not None),
            key=lambda image: (image.psnr or 0) - (image.bicubic or 0),
        )
        queues.append([(model, image.name) for image in ranked])
    chosen: dict[str, tuple[Model, str]] = {}
    for rank in range(max(map(len, queues), default=0)):
        for queue in queues:
            if rank < len(queue) and len(chosen) < count:
                chosen.setdefault(queue[rank][1], queue[rank])
    return list(chosen.values())


def crop_rows(
    report: ReportData, dataset: Dataset, *, count: int
) -> tuple[tuple[CropRow, ...], tuple[str, ...]]:
    """Run the models on the worst images and cut out the worst place of each.

    Returns:
        Rows, and notes on models or images that are left out, and why.

    Raises:
        DataError: an image of ``dataset`` cannot be read.
    """
    notes: list[str] = []
    upscalers = _upscalers(report, dataset.scale, notes)
    pairs = {pair.name: pair for pair in dataset.pairs}
    rows: list[CropRow] = []
    size = 0
    for model, image in worst_images(report, count):
        if model.name not in upscalers:
            continue
        if image not in pairs:
            notes.append(f"no crop of {image}: it is not in {dataset.root}")
            continue
        labels = {one.name: one.label for one in report.models}
        row = _row(pairs[image], upscalers, model.name, labels)
        size += sum(len(picture.uri) for picture in row.pictures)
        if size > MAX_BYTES:
            notes.append(f"only {len(rows)} rows of crops: the page would grow too large")
            break
        rows.append(row)
    return tuple(rows), tuple(dict.fromkeys(notes))


def _upscalers(report: ReportData, scale: int, notes: list[str]) -> dict[str, Upscaler]:
    found = {}
    for model in report.models:
        if not model.images:
            continue
        source = model.file or model.name
        if source == "bicubic":
            continue
        try:
            upscaler = load_upscaler(Path(source) if model.file else source)
        except EdgesrError as error:
            notes.append(f"no crops of {model.label}: {error}")
            continue
        if upscaler.scale != scale:
            notes.append(f"no crops of {model.label}: it upscales x{upscaler.scale}, not x{scale}")
            continue
        found[model.name] = upscaler
    return found


def _row(
    pair: ImagePair, upscalers: dict[str, Upscaler], worst: str, labels: dict[str, str]
) -> CropRow:
    scale = upscalers[worst].scale
    lr, hr = read_pair(pair, scale)
    left, top = _worst_place(upscalers[worst](lr), hr, scale)
    side = min(SIDE, *hr.shape[:2]) // scale * scale
    box = (left // scale, top // scale, side // scale)
    clean = hr[top : top + side, left : left + side]
    pictures = [Picture(title="LR", uri=_uri(_cut(lr, box)), psnr=None)]
    pictures.append(_compared("bicubic", _bicubic(lr, box, scale), clean))
    pictures += [
        _compared(labels[name], _upscaled(upscaler, lr, box), clean)
        for name, upscaler in upscalers.items()
    ]
    pictures.append(Picture(title="HR", uri=_uri(clean), psnr=None))
    return CropRow(image=pair.name, place=(left, top), why=labels[worst], pictures=tuple(pictures))


def _compared(title: str, sr: Pixels, hr: Pixels) -> Picture:
    quality = psnr(sr.astype(np.float64), hr.astype(np.float64))
    return Picture(title=title, uri=_uri(sr), psnr=quality if np.isfinite(quality) else None)


def _worst_place(sr: Pixels, hr: Pixels, scale: int) -> tuple[int, int]:
    """Return left and top of the square with the largest squared error, on the LR grid."""
    error = np.square(sr.astype(np.float64) - hr).sum(axis=2)
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = error.shape
    side = min(SIDE, height, width) // scale * scale
    tops = np.arange(0, height - side + 1, _STEP // scale * scale or scale)
    lefts = np.arange(0, width - side + 1, _STEP // scale * scale or scale)
    sums = (
        total[np.ix_(tops + side, lefts + side)]
        - total[np.ix_(tops, lefts + side)]
        - total[np.ix_(tops + side, lefts)]
        + total[np.ix_(tops, lefts)]
    )
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(lefts[column]), int(tops[row])


def _upscaled(upscaler: Upscaler, lr: Pixels, box: tuple[int, int, int]) -> Pixels:
    """Upscale what the crop sees: the crop and the model's reach, or the image if unknown."""
    if upscaler.halo is None or upscaler.window is not None:
        return _cut(upscaler(lr), box, upscaler.scale)
    around, inner = _around(lr, box, upscaler.halo)
    return _cut(upscaler(around), inner, upscaler.scale)


def _bicubic(lr: Pixels, box: tuple[int, int, int], scale: int) -> Pixels:
    around, inner = _around(lr, box, _BICUBIC_REACH)
    return _cut(upscale_bicubic(around, scale), inner, scale)


def _around(
    lr: Pixels, box: tuple[int, int, int], reach: int
) -> tuple[Pixels, tuple[int, int, int]]:
    left, top, side = box
    first_x, first_y = max(left - reach, 0), max(top - reach, 0)
    around = lr[first_y : top + side + reach, first_x : left + side + reach]
    return np.ascontiguousarray(around), (left - first_x, top - first_y, side)


def _cut(image: Pixels, box: tuple[int, int, int], scale: int = 1) -> Pixels:
    left, top, side = (scale * value for value in box)
    return image[top : top + side, left : left + side]


def _uri(pixels: Pixels) -> str:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
