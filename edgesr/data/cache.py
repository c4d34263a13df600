"""A decoded copy of a data set on disk, memory-mapped, so that no image is decoded twice.

One file holds the pixels of all low- and high-resolution images behind each other; ``index.json``
says where each begins. The folder's name is a digest of the source files, so a changed image makes
a new cache.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.data.layouts import ImagePair, read_pair
from edgesr.errors import OutputError
from edgesr.files import write_json

_VERSION = 1
_CHANNELS = 3
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class DecodedImages:
    """Memory-mapped pairs; index ``i`` of every field speaks of the same pair.

    Attributes:
        scale: upscaling factor.
        names: image names.
        lr: ``(h, w, 3)`` uint8 RGB each.
        hr: ``(h * scale, w * scale, 3)`` uint8 RGB each.
        sha256: of the high-resolution pixels.
    """

    scale: int
    names: tuple[str, ...]
    lr: tuple[NDArray[np.uint8], ...]
    hr: tuple[NDArray[np.uint8], ...]
    sha256: tuple[str, ...]


def cache_root() -> Path:
    """Return the folder for caches: ``$EDGESR_CACHE``, else ``edgesr`` in the user's cache."""
    own = os.environ.get("EDGESR_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgesr"


def decode_pairs(
    pairs: Sequence[ImagePair],
    scale: int,
    *,
    root: Path | None = None,
    progress: Progress = lambda _done, _total: None,
) -> DecodedImages:
    """Decode ``pairs`` into a cache below ``root``, or map the cache that is already there.

    Raises:
        DataError: an image is missing or damaged, or a pair does not match.
        OutputError: the cache cannot be written.
    """
    folder = (root or cache_root()) / f"pairs-{_digest(pairs, scale)}"
    if not _is_whole(folder, scale):
        _build(folder, pairs, scale, progress)
    return _map(folder, scale)


def _digest(pairs: Sequence[ImagePair], scale: int) -> str:
    digest = hashlib.sha256(f"{_VERSION} x{scale}".encode())
    for pair in pairs:
        if pair.shrink > 1:
            digest.update(f"|1/{pair.shrink}".encode())
        for path in (pair.hr, pair.lr):
            if path is not None:
                about = path.stat()
                digest.update(f"|{path.resolve()} {about.st_size} {about.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _build(folder: Path, pairs: Sequence[ImagePair], scale: int, progress: Progress) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".pairs-", dir=folder.parent))
        try:
            _write_pixels(temporary, pairs, scale, progress)
            _put(temporary, folder, scale)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{folder.parent}: the image cache cannot be written ({error.strerror or error}); "
            "set EDGESR_CACHE to a folder with free space"
        ) from error


def _put(temporary: Path, folder: Path, scale: int) -> None:
    """Rename ``temporary`` to ``folder`` unless another process was quicker."""
    if _is_whole(folder, scale):
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        temporary.replace(folder)
    except OSError:
        if not _is_whole(folder, scale):
            raise


def _is_whole(folder: Path, scale: int) -> bool:
    """Say whether ``folder`` holds a cache with all of its pixels."""
    try:
        entries = json.loads((folder / "index.json").read_text())
        size = (folder / "pixels.bin").stat().st_size
    except (OSError, ValueError):
        return False
    return size == sum(_bytes(entry, scale) for entry in entries)


def _bytes(entry: dict[str, Any], scale: int) -> int:
    size: int = entry["height"] * entry["width"] * _CHANNELS * (1 + scale**2)
    return size


def _write_pixels(folder: Path, pairs: Sequence[ImagePair], scale: int, progress: Progress) -> None:
    entries = []
    offset = 0
    with (folder / "pixels.bin").open("wb") as stream, ThreadPoolExecutor(2) as threads:
        for done, (pair, (lr, hr)) in enumerate(
            zip(pairs, threads.map(lambda pair: read_pair(pair, scale), pairs), strict=True), 1
        ):
            entry = {"name": pair.name, "height": lr.shape[0], "width": lr.shape[1]}
            entries.append({**entry, "offset": offset, "sha256": _sha256(hr)})
            for image in (lr, hr):
                offset += stream.write(np.ascontiguousarray(image).data)
            progress(done, len(pairs))
    write_json(folder / "index.json", entries)


def _map(folder: Path, scale: int) -> DecodedImages:
    entries = json.loads((folder / "index.json").read_text())
    pixels = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r")
    lr, hr = [], []
    for entry in entries:
        height, width = entry["height"], entry["width"]
        middle = entry["offset"] + height * width * _CHANNELS
        end = middle + height * width * scale**2 * _CHANNELS
        lr.append(pixels[entry["offset"] : middle].reshape(height, width, _CHANNELS))
        hr.append(pixels[middle:end].reshape(height * scale, width * scale, _CHANNELS))
    return DecodedImages(
        scale=scale,
        names=tuple(entry["name"] for entry in entries),
        lr=tuple(lr),
        hr=tuple(hr),
        sha256=tuple(entry["sha256"] for entry in entries),
    )


def _sha256(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
