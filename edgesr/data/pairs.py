"""Values for images on disk, and how a pair is decoded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DatasetError
from edgesr.images import read_image
from edgesr.imresize import downscale, modcrop


@dataclass(frozen=True, kw_only=True)
class ImagePair:
    """One high-resolution image and, where there is one, its low-resolution file.

    Attributes:
        name: place below the folder, without suffix; unique in a data set.
        hr: high-resolution file.
        lr: low-resolution file; None makes it from ``hr``.
        shrink: by how much ``hr`` is reduced after reading, by antialiased bicubic.
    """

    name: str
    hr: Path
    lr: Path | None = None
    shrink: int = 1


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images that were found.

    Attributes:
        kind: name of the layout.
        root: folder with the high-resolution images.
        scale: upscaling factor.
        pairs: sorted by name; all of them have a low-resolution file, or none has.
        note: what else the reader should know, or nothing.
    """

    kind: str
    root: Path
    scale: int
    pairs: tuple[ImagePair, ...]
    note: str = ""

    def describe(self, degradation: str = "bicubic") -> str:
        """Return one line that says what was found where, and how LR is made where it is made."""
        count = len(self.pairs)
        if any(pair.lr is None for pair in self.pairs):
            made = (
                "bicubic downscaling" if degradation == "bicubic" else f"degradation {degradation}"
            )
            what = f"{count} HR images in {self.root}, LR x{self.scale} made by {made}"
        else:
            what = f"{count} HR + {count} LR x{self.scale} pairs in {self.root}"
        return f"{self.kind}: {what}{f' ({self.note})' if self.note else ''}"


def read_pair(pair: ImagePair, scale: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Decode a pair; the high-resolution image is cropped to multiples of ``scale``.

    Returns:
        LR ``(h, w, 3)`` and HR ``(h * scale, w * scale, 3)``, uint8 RGB; LR is the bicubic
        downscaling of HR where ``pair`` has no file for it.

    Raises:
        ImageError: a file is missing or damaged.
        DatasetError: the sizes do not belong together, or the image is smaller than ``scale``.
    """
    whole = read_image(pair.hr)
    if pair.shrink > 1:
        whole = downscale(modcrop(whole, pair.shrink), pair.shrink)
    hr = modcrop(whole, scale)
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    if not height or not width:
        raise DatasetError(
            f"{pair.hr}: image of {_size(whole)} is too small for x{scale}; "
            f"want at least {scale}x{scale}, remove it"
        )
    if pair.lr is None:
        return downscale(hr, scale), hr
    lr = read_image(pair.lr)
    if lr.shape != (height, width, 3):
        raise DatasetError(
            f"{pair.lr}: low-resolution image of {_size(lr)} does not fit {pair.hr} of "
            f"{_size(whole)}; want {width}x{height} for x{scale}, check that both are the same "
            "picture and scale"
        )
    return lr, hr


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
