"""Folders of images as people have them, recognised by their names.

| layout    | high resolution        | low resolution (scale 3)                            |
|-----------|------------------------|-----------------------------------------------------|
| DIV2K     | `DIV2K_train_HR/`      | `DIV2K_train_LR_bicubic/X3/0001x3.png`              |
| benchmark | `HR/`, `GTmod12/`      | `LR_bicubic/X3/babyx3.png`, `LRbicx3/`, `LR/X3/`    |
| flat      | images at any depth    | `X3/` beside them, else made from them (bicubic)     |

Where a folder of low-resolution images is there, every image must have its pair in it; where there
is none, the pairs are made, and ``Dataset.describe`` says which of the two happened.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DatasetError
from edgesr.images import IMAGE_SUFFIXES, read_image
from edgesr.imresize import downscale, modcrop

_DIV2K_SPLITS = ("DIV2K_train", "DIV2K_valid")
_BENCHMARK_HR = ("HR", "GTmod12", "GTmod24", "GT")
_SKIPPED = re.compile(r"\..*|[xX][2-8]|LR.*")
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ImagePair:
    """One picture: ``hr`` file, and ``lr`` file or None where it is made from ``hr``."""

    name: str
    hr: Path
    lr: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A recognised folder.

    Attributes:
        kind: layout, in words.
        root: folder that was given.
        scale: upscaling factor of the pairs.
        pairs: sorted by name.
        lr_root: folder of the low-resolution files; None where they are made.
    """

    kind: str
    root: Path
    scale: int
    pairs: tuple[ImagePair, ...]
    lr_root: Path | None = None

    def describe(self) -> str:
        """Return one line that says what was found."""
        made = f"bicubic x{self.scale} made from them"
        low = made if self.lr_root is None else f"x{self.scale} pairs in {self.lr_root}"
        return f"{self.root}: {self.kind}, {len(self.pairs)} HR images, LR: {low}"


def find_dataset(root: Path, scale: int, *, lr_root: Path | None = None) -> Dataset:
    """Recognise the layout of ``root`` and pair its images for ``scale``.

    Args:
        root: folder with a layout of the table above.
        scale: upscaling factor.
        lr_root: folder of low-resolution images that lies elsewhere, or its parent of ``X3``.

    Raises:
        DatasetError: no folder, no images, or an image without its pair.
    """
    root = Path(root)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DatasetError(f"{root}: {what}, want a folder of images; check --data")
    kind, hr_root, found_lr = _recognise(root, scale)
    if lr_root is not None:
        found_lr = _lr_folder(Path(lr_root), scale)
    files = _images_below(hr_root)
    if not files:
        suffixes = " ".join(IMAGE_SUFFIXES)
        raise DatasetError(f"{hr_root}: holds no images ({suffixes}); add some or check --data")
    names = [path.relative_to(hr_root).as_posix() for path in files]
    lows = _pair(files, found_lr, scale) if found_lr is not None else [None] * len(files)
    pairs = tuple(
        ImagePair(name=name, hr=hr, lr=lr)
        for name, hr, lr in zip(names, files, lows, strict=True)
    )
    return Dataset(kind=kind, root=root, scale=scale, pairs=pairs, lr_root=found_lr)


def read_pair(pair: ImagePair, scale: int) -> tuple[Pixels, Pixels]:
    """Decode a pair.

    The high-resolution image is cropped at the bottom and right to multiples of ``scale``.

    Returns:
        LR ``(h, w, 3)`` and HR ``(h * scale, w * scale, 3)``, uint8 RGB.

    Raises:
        ImageError: a file is missing or damaged.
        DatasetError: the image is smaller than ``scale``, or the sizes do not match.
    """
    hr = modcrop(read_image(pair.hr), scale)
    if not hr.size:
        raise DatasetError(f"{pair.hr}: is smaller than {scale} pixels a side; remove it")
    if pair.lr is None:
        return downscale(hr, scale), hr
    lr = read_image(pair.lr)
    wanted = (hr.shape[0] // scale, hr.shape[1] // scale)
    if lr.shape[:2] != wanted:
        raise DatasetError(
            f"{pair.lr}: is {lr.shape[1]}x{lr.shape[0]}, want {wanted[1]}x{wanted[0]} as the x{scale} "
            f"pair of {pair.hr} ({hr.shape[1]}x{hr.shape[0]} cropped); check the scale of the LR set"
        )
    return lr, hr


def _recognise(root: Path, scale: int) -> tuple[str, Path, Path | None]:
    for split in _DIV2K_SPLITS:
        hr = root if root.name == f"{split}_HR" else root / f"{split}_HR"
        if hr.is_dir():
            low = hr.parent / f"{split}_LR_bicubic" / f"X{scale}"
            return f"DIV2K layout ({hr.name})", hr, low if low.is_dir() else None
    for name in _BENCHMARK_HR:
        hr = root / name
        if hr.is_dir():
            lows = [root / f"LRbicx{scale}", root / "LR_bicubic", root / "LR"]
            low = next((folder for folder in lows if folder.is_dir()), None)
            found = None if low is None else _lr_folder(low, scale)
            return f"benchmark layout ({name}/)", hr, found
    low = next((root / name for name in (f"X{scale}", f"x{scale}") if (root / name).is_dir()), None)
    return "folder of images", root, low


def _lr_folder(folder: Path, scale: int) -> Path:
    """Return the ``X3`` below ``folder`` for scale 3, else ``folder`` when it holds images."""
    for candidate in (folder / f"X{scale}", folder / f"x{scale}"):
        if candidate.is_dir():
            return candidate
    if folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir()):
        return folder
    raise DatasetError(
        f"{folder}: holds no low-resolution images for scale {scale}, want X{scale}/ in it; "
        "leave the folder out to have them made"
    )


def _images_below(root: Path) -> list[Path]:
    """Return the images at any depth; hidden folders and low-resolution ``X3`` are left out."""
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return [
        path
        for path in files
        if path.is_file()
        and not any(_SKIPPED.fullmatch(part) for part in path.relative_to(root).parts)
    ]


def _pair(files: Sequence[Path], lr_root: Path, scale: int) -> list[Path | None]:
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(lr_root.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            by_stem.setdefault(path.stem, []).append(path)
    return [_partner(path, by_stem, lr_root, scale) for path in files]


def _partner(hr: Path, by_stem: dict[str, list[Path]], lr_root: Path, scale: int) -> Path:
    stems = (f"{hr.stem}x{scale}", hr.stem)
    found = [path for stem in stems for path in by_stem.get(stem, [])]
    if not found:
        raise DatasetError(
            f"{hr}: has no low-resolution pair, want {stems[0]}{hr.suffix} or {hr.name} in "
            f"{lr_root}; add it or leave the folder out to have the pairs made"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DatasetError(f"{hr}: has several low-resolution pairs in {lr_root} ({names}); keep one")
    return found[0]
