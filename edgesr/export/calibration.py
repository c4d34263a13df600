"""Which images an export calibrates with and which it is judged on."""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.data.demo import demo_dataset
from edgesr.data.layouts import ImagePair, find_dataset, read_pair
from edgesr.errors import CheckpointError, DatasetError
from edgesr.files import sha256_file
from edgesr.images import read_image
from edgesr.imresize import downscale
from edgesr.quant.calibrate import CalibrationBatch

NUM_IMAGES = 32
CROPS_PER_IMAGE = 2
CROP_SIZE = 64
NUM_LARGE = 8
LARGE_SIZE = 160
HELD_OUT_IMAGES = 10
HELD_OUT_SIZE = 192
"""Held-out images are cut to this many low-resolution pixels a side, round the middle."""

_BATCH = 16
_MARGIN = 8
_SMALLEST = 16


@dataclass(frozen=True, kw_only=True)
class ImageChoice:
    """Pairs to calibrate with and pairs to judge by; no pair is in both.

    Attributes:
        calibration: training images.
        held_out: images that neither training nor calibration saw.
        source: what the calibration images are, for people.
        held_out_source: what the held-out images are.
    """

    calibration: tuple[ImagePair, ...]
    held_out: tuple[ImagePair, ...]
    source: str
    held_out_source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationSet:
    """Low-resolution crops to calibrate with, and the record that says which they are.

    Attributes:
        batches: crops as float32 grey levels, NHWC; those of one size together.
        count: number of crops.
        seed: of the crop positions.
        images: SHA-256 of the file that each image was read from, by name.
        digest: SHA-256 over the pixels of all crops.
    """

    batches: tuple[CalibrationBatch, ...]
    count: int
    seed: int
    images: dict[str, str]
    digest: str


def choose_images(
    checkpoint: Path, scale: int, *, calibration: Path | None, held_out: Path | None
) -> ImageChoice:
    """Name the images for the export of ``checkpoint``.

    Calibration uses ``calibration``, else the training images that the run folder of the
    checkpoint names, else the demo photographs. Judging uses ``held_out``, else the run's held-out
    images, else calibration images that are set aside.

    Raises:
        DatasetError: a folder is missing or has too few images.
        CheckpointError: the run folder's config.toml or data.json is damaged.
    """
    kept: tuple[ImagePair, ...] = ()
    if calibration is not None:
        dataset = find_dataset(calibration, scale)
        train, source = dataset.pairs, dataset.describe()
    else:
        train, kept, source = _run_images(checkpoint.parent, scale)
    held_out_source = f"set aside from: {source}" if not kept else f"held out by the run: {source}"
    if held_out is not None:
        dataset = find_dataset(held_out, scale)
        kept, held_out_source = dataset.pairs, dataset.describe()
    elif not kept:
        train, kept = _set_aside(train, source)
    train = tuple(pair for pair in train if pair.hr not in {one.hr for one in kept})
    if not train:
        raise DatasetError(f"{source}: no image is left to calibrate with; name --calibration")
    return ImageChoice(
        calibration=_spread(train, NUM_IMAGES),
        held_out=_spread(kept, HELD_OUT_IMAGES),
        source=source,
        held_out_source=held_out_source,
    )


def calibration_set(
    pairs: Sequence[ImagePair], scale: int, *, seed: int = 0, large: int = NUM_LARGE
) -> CalibrationSet:
    """Cut low-resolution crops from ``pairs``: two of 64 pixels each and a few of 160.

    Images smaller than a crop give one crop of their own size.

    Args:
        pairs: images.
        scale: upscaling factor.
        seed: of the crop positions.
        large: about how many crops of 160 pixels.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: every image is under 16 low-resolution pixels a side.
    """
    random = np.random.default_rng(seed)
    small: list[NDArray[np.uint8]] = []
    wide: list[NDArray[np.uint8]] = []
    images: dict[str, str] = {}
    for number, pair in enumerate(pairs):
        path = pair.lr or pair.hr
        picture = read_image(path)
        images[pair.name] = sha256_file(path)
        factor = 1 if pair.lr else scale
        small += [_crop(picture, factor, CROP_SIZE, random) for _ in range(CROPS_PER_IMAGE)]
        if large and number % max(1, len(pairs) // large) == 0:
            wide.append(_crop(picture, factor, LARGE_SIZE, random))
    crops = [crop for crop in small + wide if min(crop.shape[:2]) >= _SMALLEST]
    if not crops:
        raise DatasetError(
            f"{pairs[0].hr}: low-resolution side is below {_SMALLEST} pixels; use larger images"
        )
    digest = hashlib.sha256()
    for crop in crops:
        digest.update(repr(crop.shape).encode() + crop.tobytes())
    return CalibrationSet(
        batches=tuple(_batches(crops)),
        count=len(crops),
        seed=seed,
        images=images,
        digest=digest.hexdigest(),
    )


def crops_of(pictures: Sequence[NDArray[np.uint8]], *, seed: int = 0) -> list[CalibrationBatch]:
    """Cut crops like those of ``calibration_set`` from low-resolution pictures in memory."""
    random = np.random.default_rng(seed)
    count = min(NUM_IMAGES, len(pictures))
    chosen = [pictures[index * len(pictures) // count] for index in range(count)]
    small = [_crop(one, 1, CROP_SIZE, random) for one in chosen for _ in range(CROPS_PER_IMAGE)]
    large = [_crop(one, 1, LARGE_SIZE, random) for one in chosen[:: max(1, count // NUM_LARGE)]]
    return _batches(small + large)


def held_out_pair(pair: ImagePair, scale: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return LR and HR of a held-out image, cut to 192 low-resolution pixels round the middle.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: LR and HR do not match.
    """
    lr, hr = read_pair(pair, scale)
    sizes = [min(side, HELD_OUT_SIZE) for side in lr.shape[:2]]
    top, left = ((side - size) // 2 for side, size in zip(lr.shape[:2], sizes, strict=True))
    lr = lr[top : top + sizes[0], left : left + sizes[1]]
    rows = slice(top * scale, (top + sizes[0]) * scale)
    columns = slice(left * scale, (left + sizes[1]) * scale)
    return np.ascontiguousarray(lr), np.ascontiguousarray(hr[rows, columns])


def _run_images(
    folder: Path, scale: int
) -> tuple[tuple[ImagePair, ...], tuple[ImagePair, ...], str]:
    """Return training and held-out pairs and their source, of a run or of the demo."""
    config, record = _toml(folder / "config.toml"), _json(folder / "data.json")
    data = config.get("data")
    low = config.get("lr_data")
    lr_root = None if low is None else Path(low)
    dataset = (
        demo_dataset(scale) if data is None else find_dataset(Path(data), scale, lr_root=lr_root)
    )
    pairs = dataset.pairs
    names = record.get("held_out", {})
    kept = tuple(pair for pair in pairs if pair.name in names)
    if config.get("val_data") is not None:
        kept = find_dataset(Path(config["val_data"]), scale).pairs
        kept = tuple(pair for pair in kept if pair.name in names) or kept
    return tuple(pair for pair in pairs if pair not in kept), kept, dataset.describe()


def _set_aside(
    pairs: Sequence[ImagePair], source: str
) -> tuple[tuple[ImagePair, ...], tuple[ImagePair, ...]]:
    """Split off a quarter of the pairs, at most ten, spread evenly, to judge by."""
    if len(pairs) < 2:  # noqa: PLR2004 - one to calibrate with, one to judge by
        raise DatasetError(
            f"{source}: {len(pairs)} image cannot both calibrate and judge; "
            "add images or name --data"
        )
    kept = _spread(pairs, max(1, min(HELD_OUT_IMAGES, len(pairs) // 4)))
    return tuple(pair for pair in pairs if pair not in kept), kept


def _spread(pairs: Sequence[ImagePair], count: int) -> tuple[ImagePair, ...]:
    """Return ``count`` pairs spread evenly over the list, or all when there are fewer."""
    count = min(count, len(pairs))
    return tuple(pairs[index * len(pairs) // count] for index in range(count))


def _crop(
    picture: NDArray[np.uint8], factor: int, size: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Cut a low-resolution crop from a random place; ``factor`` above 1 downscales it there.

    The part that is downscaled has a margin, so that the crop equals the same part of the whole
    image downscaled.
    """
    sides = [side // factor for side in picture.shape[:2]]
    sizes = [min(side, size) for side in sides]
    starts = [int(random.integers(s - n + 1)) for s, n in zip(sides, sizes, strict=True)]
    begins = [max(0, start - _MARGIN) for start in starts]
    ends = [
        min(side, start + n + _MARGIN) for side, start, n in zip(sides, starts, sizes, strict=True)
    ]
    rows, columns = (slice(b * factor, e * factor) for b, e in zip(begins, ends, strict=True))
    part = picture[rows, columns]
    part = part if factor == 1 else downscale(np.ascontiguousarray(part), factor)
    top, left = (start - begin for start, begin in zip(starts, begins, strict=True))
    return np.ascontiguousarray(part[top : top + sizes[0], left : left + sizes[1]])


def _batches(crops: Sequence[NDArray[np.uint8]]) -> list[CalibrationBatch]:
    by_shape: dict[tuple[int, ...], list[NDArray[np.uint8]]] = {}
    for crop in crops:
        by_shape.setdefault(crop.shape, []).append(crop)
    batches: list[CalibrationBatch] = []
    for same in by_shape.values():
        for start in range(0, len(same), _BATCH):
            stacked = np.stack(same[start : start + _BATCH])
            batches.append(CalibrationBatch(inputs=torch.from_numpy(stacked).float()))
    return batches


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); name --calibration") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); name --calibration") from error
    return content if isinstance(content, dict) else {}
