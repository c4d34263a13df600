"""The places where int8 and float pictures differ most, as PNG data URIs."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgesr.debug.figures import decibels

SIDE = 96
"""Side of a cut-out in high-resolution pixels."""

_STEP = 12
_PERCENT = 99.9
_WHITE = 255.0

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WorstCrop:
    """One place.

    Attributes:
        image: index of the picture.
        left: in high-resolution pixels of the picture.
        top: in high-resolution pixels of the picture.
        width: of the cut-out.
        height: of the cut-out.
        psnr: int8 against float there, dB.
        max_error: largest difference there in grey levels.
    """

    image: int
    left: int
    top: int
    width: int
    height: int
    psnr: float
    max_error: float

    def cut(self, picture: Floats) -> Floats:
        """Return the place of ``(h, w, 3)``."""
        rows = slice(self.top, self.top + self.height)
        return picture[rows, self.left : self.left + self.width]


def worst_crops(
    floats: Sequence[Floats], int8s: Sequence[Floats], *, count: int, side: int = SIDE
) -> list[WorstCrop]:
    """Return the squares with the largest squared error, the worst first, none overlapping.

    Args:
        floats: pictures of the float network, ``(h, w, 3)`` grey levels.
        int8s: pictures of the int8 network, of the same sizes.
        count: how many at most.
        side: of a square; smaller pictures are taken whole.
    """
    places: list[tuple[float, int, int, int]] = []
    squares = [
        np.square(b.astype(np.float64) - a).sum(axis=2) for a, b in zip(floats, int8s, strict=True)
    ]
    for index, error in enumerate(squares):
        total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        height, width = (min(side, size) for size in error.shape)
        tops = _starts(error.shape[0], height)
        lefts = _starts(error.shape[1], width)
        sums = total[np.ix_(tops + height, lefts + width)] - total[np.ix_(tops, lefts + width)]
        sums += total[np.ix_(tops, lefts)] - total[np.ix_(tops + height, lefts)]
        means = sums / (height * width)
        places += [
            (float(means[row, column]), index, int(lefts[column]), int(tops[row]))
            for row in range(len(tops))
            for column in range(len(lefts))
        ]
    chosen: list[WorstCrop] = []
    for _, index, left, top in sorted(places, key=lambda one: -one[0]):
        if len(chosen) == count:
            break
        clear = (
            one.image != index or abs(one.left - left) >= side or abs(one.top - top) >= side
            for one in chosen
        )
        if all(clear):
            height, width = (min(side, size) for size in squares[index].shape)
            chosen.append(_measured(floats, int8s, index, (left, top, width, height)))
    return chosen


def heat_peak(errors: Sequence[Floats]) -> int:
    """Return the difference in grey levels that is white in all heat maps: one value in 1000 more.

    Args:
        errors: int8 minus float of every cut-out, ``(h, w, 3)``.
    """
    if not errors:
        return 1
    levels = np.concatenate([np.abs(one).max(axis=2).ravel() for one in errors])
    return max(1, math.ceil(float(np.percentile(levels, _PERCENT))))


def heat_map(fine: Floats, coarse: Floats, *, peak: int) -> NDArray[np.uint8]:
    """Colour the largest difference of red, green and blue: black 0, red, yellow, white.

    Args:
        fine: ``(h, w, 3)`` grey levels.
        coarse: the same size.
        peak: grey levels from which on it is white; a third is red, two thirds are yellow.
    """
    share = np.abs(coarse.astype(np.float64) - fine).max(axis=2) / peak
    channels = [np.clip(3.0 * share - offset, 0.0, 1.0) for offset in (0.0, 1.0, 2.0)]
    heat: NDArray[np.uint8] = np.rint(np.stack(channels, axis=2) * _WHITE).astype(np.uint8)
    return heat


def png_uri(picture: Floats | NDArray[np.uint8]) -> str:
    """Return ``(h, w, 3)`` grey levels in [0, 255], rounded, as a PNG in a data URI."""
    pixels = np.rint(picture).clip(0, _WHITE).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _starts(size: int, side: int) -> NDArray[np.int64]:
    return np.unique(np.append(np.arange(0, size - side + 1, _STEP), size - side))


def _measured(
    floats: Sequence[Floats],
    int8s: Sequence[Floats],
    index: int,
    place: tuple[int, int, int, int],
) -> WorstCrop:
    left, top, width, height = place
    rows, columns = slice(top, top + height), slice(left, left + width)
    error = int8s[index][rows, columns].astype(np.float64) - floats[index][rows, columns]
    return WorstCrop(
        image=index,
        left=left,
        top=top,
        width=width,
        height=height,
        psnr=decibels(_WHITE**2, float(np.square(error).mean())),
        max_error=float(np.abs(error).max()),
    )
