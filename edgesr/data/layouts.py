"""Find images, and the low-resolution half of pairs, in the folder layouts that people have.

| layout    | high resolution             | low resolution, for scale 3                         |
|-----------|-----------------------------|-----------------------------------------------------|
| DIV2K     | `DIV2K_train_HR/0001.png`   | `DIV2K_train_LR_bicubic/X3/0001x3.png`              |
| benchmark | `HR/baby.png`               | `LR_bicubic/X3/babyx3.png`                          |
| BasicSR   | `GTmod12/baby.png`          | `LRbicx3/baby.png`                                  |
| flat      | `baby.png`, `portraits/...` | `X3/baby.png`, or `X3` in another folder; else made |

DIV2K stands for every set that is named like it (Flickr2K_HR, DIV2K_valid_HR, LSDIR_train_HR), and
for crops of it as BasicSR makes them (``DIV2K_train_HR_sub``, ``DIV2K_train_LR_bicubic/X3_sub``).
A pair is made of equal names, at equal places below their folders; the low-resolution name may end
in ``x3``. Nothing is paired by order, and what does not match is an error.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgesr.data.pairs import Dataset, ImagePair, read_pair
from edgesr.errors import DatasetError
from edgesr.images import IMAGE_SUFFIXES, list_images

__all__ = ["Dataset", "ImagePair", "find_dataset", "read_pair"]

_HR_FOLDER = re.compile(r"\w+_HR(_sub)?")
_LR_FOLDER = re.compile(r"X\d(_sub)?|LR|LR_\w+|LRbicx\d|\w+_LR|\w+_LR_\w+")


@dataclass(frozen=True, kw_only=True)
class _Place:
    hr: Path
    lr: Path | None
    not_hr: tuple[Path, ...] = ()
    note: str = ""


def find_dataset(root: Path, scale: int, *, lr_root: Path | None = None) -> Dataset:
    """Find the images below ``root`` and the low-resolution files that belong to them.

    Args:
        root: folder in one of the layouts above.
        scale: upscaling factor.
        lr_root: folder with the low-resolution files, or with ``X3`` or ``LR_bicubic/X3`` in it.

    Raises:
        DatasetError: a folder is missing or empty, or high- and low-resolution files differ.
    """
    root = Path(root)
    root = root if root.name.strip(".") else root.resolve()  # "." and ".." have names as well
    _check_folder(root)
    kind, place = next(
        (kind, place) for kind, find in _LAYOUTS.items() if (place := find(root, scale)) is not None
    )
    lr_folder = place.lr if lr_root is None else _lr_folder(Path(lr_root), scale)
    found = _index(place.hr, skip=[*place.not_hr, *([] if lr_folder is None else [lr_folder])])
    if not found:
        known = " ".join(IMAGE_SUFFIXES)
        raise DatasetError(f"{place.hr}: no images in it; want files that end in one of {known}")
    pairs = tuple(ImagePair(name=name, hr=path) for name, path in found.items())
    if lr_folder is not None:
        pairs = _with_lr(pairs, lr_folder, scale)
    return Dataset(kind=kind, root=place.hr, scale=scale, pairs=pairs, note=place.note)


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    came = "is a file" if folder.exists() else "does not exist"
    raise DatasetError(f"{folder}: {came}; want a folder of images, check the path")


def _with_lr(pairs: tuple[ImagePair, ...], folder: Path, scale: int) -> tuple[ImagePair, ...]:
    """Add to each pair the file of its name below ``folder``, and leave none over."""
    found = _index(folder)
    matched = []
    for pair in pairs:
        names = [name for name in (pair.name, f"{pair.name}x{scale}") if name in found]
        if len(names) != 1:
            came = f"both {names[0]} and {names[1]}" if names else "no LR image"
            raise DatasetError(
                f"{folder}: {came} for {pair.hr}; want one file {pair.name}.png or "
                f"{pair.name}x{scale}.png"
            )
        matched.append(ImagePair(name=pair.name, hr=pair.hr, lr=found.pop(names[0])))
    if found:
        path = next(iter(found.values()))
        raise DatasetError(
            f"{path}: no HR image of that name ({len(found)} such files); remove it, or name the "
            "folder that holds the HR images"
        )
    return tuple(matched)


def _lr_folder(root: Path, scale: int) -> Path:
    _check_folder(root)
    for folder in (root / f"X{scale}", root / "LR_bicubic" / f"X{scale}", root / f"LRbicx{scale}"):
        if folder.is_dir():
            return folder
    if others := [path.name for path in root.iterdir() if _LR_FOLDER.fullmatch(path.name)]:
        raise DatasetError(f"{root}: has {', '.join(sorted(others))}, but no folder X{scale}")
    return root


def _index(folder: Path, *, skip: Collection[Path] = ()) -> dict[str, Path]:
    """Return the images below ``folder`` by their name in the data set, sorted."""
    paths = sorted(_walk(folder, skip))
    places = [path.relative_to(folder) for path in paths]
    stems = [place.with_suffix("").as_posix() for place in places]
    return {
        stem if stems.count(stem) == 1 else place.as_posix(): path
        for stem, place, path in zip(stems, places, paths, strict=True)
    }


def _walk(folder: Path, skip: Collection[Path]) -> Iterator[Path]:
    seen = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        parent = Path(here)
        seen.add(parent.resolve())
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and parent / name not in skip
            and (parent / name).resolve() not in seen
        ]
        for name in folders:
            if _LR_FOLDER.fullmatch(name):
                raise DatasetError(
                    f"{parent / name}: holds low-resolution images by its name, beside the images "
                    f"of {folder}; name the folder of the HR images, and --lr for the LR ones"
                )
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield parent / name


def _existing(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def _div2k(root: Path, scale: int) -> _Place | None:
    """``NAME_HR`` with ``NAME_LR_bicubic/X3``, named itself or by the folder that holds it."""
    if _HR_FOLDER.fullmatch(root.name):
        return _div2k_part(root, scale)
    parts = sorted(p for p in root.iterdir() if p.is_dir() and _HR_FOLDER.fullmatch(p.name))
    if not parts:
        return None
    train = [path for path in parts if "_train_" in path.name] or parts
    if len(train) > 1:
        names = ", ".join(path.name for path in train)
        raise DatasetError(f"{root}: several sets in it ({names}); name one of these folders")
    others = ", ".join(path.name for path in parts if path != train[0])
    note = f"{others} left out; name it to use it" if others else ""
    return _div2k_part(train[0], scale, note)


def _div2k_part(hr: Path, scale: int, note: str = "") -> _Place:
    name, _, crops = hr.name.rpartition("_HR")
    lr = hr.with_name(f"{name}_LR_bicubic") / f"X{scale}{crops}"
    return _Place(hr=hr, lr=_existing(lr), note=note)


def _benchmark(root: Path, scale: int) -> _Place | None:
    hr = _existing(root / "HR")
    lr = root / "LR_bicubic" / f"X{scale}"
    return None if hr is None else _Place(hr=hr, lr=_existing(lr))


def _basicsr(root: Path, scale: int) -> _Place | None:
    hr = _existing(root / "GTmod12")
    return None if hr is None else _Place(hr=hr, lr=_existing(root / f"LRbicx{scale}"))


def _flat(root: Path, scale: int) -> _Place | None:
    """Images in ``root`` with folders X2, X3, X4 beside them, or a tree of images."""
    low = tuple(root.glob("X[0-9]")) if list_images(root) else ()
    return _Place(hr=root, lr=_existing(root / f"X{scale}") if low else None, not_hr=low)


_LAYOUTS: Mapping[str, Callable[[Path, int], _Place | None]] = MappingProxyType(
    {
        "DIV2K layout": _div2k,
        "benchmark layout (HR, LR_bicubic)": _benchmark,
        "BasicSR layout (GTmod12, LRbic)": _basicsr,
        "flat folder": _flat,
    }
)
"""Tried in this order; the last one always applies."""
