"""The images of a run: what to train on, what to hold out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgesr.data.cache import DecodedImages, Progress, decode_pairs
from edgesr.data.degradation import DEGRADATIONS
from edgesr.data.demo import demo_dataset
from edgesr.data.layouts import Dataset, ImagePair, find_dataset
from edgesr.errors import ConfigError, DatasetError
from edgesr.files import write_json
from edgesr.images import read_size
from edgesr.train.config import TrainConfig

DATA_FILE = "data.json"
_DEMO_SHARE = 4
"""One in so many of the demo photographs is held out at most."""
_LEAST_SIDE_TO_HALVE = 640


@dataclass(frozen=True, kw_only=True)
class TrainingImages:
    """Decoded images of a run.

    Attributes:
        description: what was found where, for people.
        is_demo: the few photographs of the demo stand in for a data set.
        train: pairs to train on.
        held_out: pairs to validate on; none of them is in ``train``. Under a degradation other
            than bicubic their low-resolution images are degraded as well, each by its place in the
            list as seed, so that runs can be compared; low-resolution files are kept as they are.
    """

    description: str
    is_demo: bool
    train: DecodedImages
    held_out: DecodedImages


def training_images(
    config: TrainConfig, *, progress: Progress = lambda _done, _total: None
) -> TrainingImages:
    """Find and decode the images that ``config`` asks for.

    Raises:
        DataError: a folder is missing or empty, an image is damaged, or too few are left.
        ConfigError: low-resolution files are given that the degradation would not use, or do not
            go with images at half size; or no image is large enough for that.
    """
    dataset = _dataset(config)
    _check_degradation(config, dataset)
    if config.val_data is not None:
        train, held_out = dataset.pairs, find_dataset(config.val_data, config.scale).pairs
        held_out = held_out[: config.val_images]
    else:
        count = config.val_images
        if config.data is None:  # the demo set is too small for the default
            count = min(count, len(dataset.pairs) // _DEMO_SHARE)
        train, held_out = hold_out(dataset.pairs, count)
    description = dataset.describe(config.degradation)
    if config.halved:
        halves = _halves(train, config)
        train = (*train, *halves)
        description += f", and {len(halves)} at half size"
    return TrainingImages(
        description=description,
        is_demo=config.data is None,
        train=decode_pairs(train, config.scale, progress=progress),
        held_out=_degraded(decode_pairs(held_out, config.scale), held_out, config.degradation),
    )


def hold_out(
    pairs: Sequence[ImagePair], count: int
) -> tuple[tuple[ImagePair, ...], tuple[ImagePair, ...]]:
    """Split off ``count`` pairs spread evenly over the list; return (rest, held out).

    Raises:
        DatasetError: nothing would be left to train on.
    """
    if count >= len(pairs):
        raise DatasetError(
            f"{len(pairs)} images, but {count} are to be held out for validation; "
            "add images, lower --val-images or give --val-data"
        )
    chosen = {index * len(pairs) // count for index in range(count)}
    rest = tuple(pair for index, pair in enumerate(pairs) if index not in chosen)
    return rest, tuple(pairs[index] for index in sorted(chosen))


def data_digest(images: DecodedImages) -> str:
    """Return one SHA-256 over the pixels of all high-resolution images."""
    return hashlib.sha256("".join(images.sha256).encode()).hexdigest()


def write_manifest(folder: Path, images: TrainingImages) -> None:
    """Write names and pixel hashes of all images of the run into its folder."""
    sets = {"train": images.train, "held_out": images.held_out}
    write_json(
        folder / DATA_FILE,
        {
            "description": images.description,
            "demo": images.is_demo,
            **{key: dict(zip(s.names, s.sha256, strict=True)) for key, s in sets.items()},
        },
    )


def _halves(pairs: Sequence[ImagePair], config: TrainConfig) -> tuple[ImagePair, ...]:
    """Return the images that are large enough once more, at half their size.

    Raises:
        ConfigError: none is, or they come with low-resolution files.
    """
    if any(pair.lr is not None for pair in pairs):
        raise ConfigError(
            "halved = true: images at half size do not go with the low-resolution files that are "
            "given; drop --halved, or name a folder of high-resolution images alone"
        )
    patch = max(config.patch_size, *config.patch_sizes, 0) * config.scale
    least = max(_LEAST_SIDE_TO_HALVE, 2 * (patch + config.scale))
    large = [pair for pair in pairs if min(read_size(pair.hr)) >= least]
    if not large:
        raise ConfigError(
            f"halved = true: none of {len(pairs)} images has sides of {least} "
            "pixels or more; drop --halved"
        )
    return tuple(replace(pair, name=f"{pair.name}//half", shrink=2) for pair in large)


def _check_degradation(config: TrainConfig, dataset: Dataset) -> None:
    if config.degradation == "bicubic" or all(pair.lr is None for pair in dataset.pairs):
        return
    raise ConfigError(
        f"degradation = {config.degradation!r}: the images in {dataset.root} come with "
        "low-resolution files, which it would not use; name a folder of high-resolution images "
        "alone, or drop --degradation"
    )


def _degraded(images: DecodedImages, pairs: Sequence[ImagePair], degradation: str) -> DecodedImages:
    """Replace the low-resolution images that were made by bicubic downscaling."""
    if degradation == "bicubic":
        return images
    make = DEGRADATIONS[degradation]
    lr = tuple(
        made if pair.lr is not None else make(hr, images.scale, index)
        for index, (pair, made, hr) in enumerate(zip(pairs, images.lr, images.hr, strict=True))
    )
    return replace(images, lr=lr)


def _dataset(config: TrainConfig) -> Dataset:
    if config.data is None:
        return demo_dataset(config.scale)
    return find_dataset(config.data, config.scale, lr_root=config.lr_data)
