"""Banding: contours that a coarse picture shows where the fine one rises gently."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

WINDOW = 7
SMOOTH_RANGE = 4.0
"""Grey levels that the float picture may span in a window that counts as smooth."""

_HALF = WINDOW // 2

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Banding:
    """Contour strength in the smooth areas of pictures.

    Attributes:
        smooth: share of values, 0 to 1, that lie in smooth areas.
        float_: contours of the float picture rounded to 8 bits, in grey levels; 0 without smooth
            areas.
        int8: the same of the int8 picture.
    """

    smooth: float
    float_: float
    int8: float

    @property
    def excess(self) -> float:
        """What int8 shows more than float; below 0 where it shows less. The banding score."""
        return self.int8 - self.float_


def banding(floats: Sequence[Floats], int8s: Sequence[Floats]) -> Banding:
    """Measure the contours of int8 pictures and of their float counterparts.

    A value is smooth where the float picture, not rounded, spans at most 4 grey levels in the
    7x7 window round it, colour by colour. Of the horizontal and vertical neighbours ``(p, q)`` that
    are both smooth, a *contour* is a pair with ``y(p) != y(q)`` and a flat side on both ends: the
    pixel before ``p`` equals ``p`` and the one behind ``q`` equals ``q``. With N smooth pairs

        strength(y) = sqrt(sum over contours of (y(q) - y(p))**2 / N)    grey levels
        score = strength(int8 picture) - strength(float picture rounded to 8 bits)

    A ramp along one axis, of slope g in steps of height h, has the strength ``sqrt(g * h / 2)``
    (half of the pairs lie across it): the sum of steps is the same for every h, so they are
    squared. Noise breaks the flat sides and is not counted.

    Args:
        floats: pictures of the float network, ``(h, w, 3)`` grey levels, not rounded.
        int8s: pictures of the int8 network, of the same sizes.

    Source: the formula is edgesr's. That banding is a step between two flat parts, looked for where
    the picture is smooth, follows Tandon, Afonso, Sole, Krasula 2021, "CAMBI: Contrast-aware
    Multiscale Banding Index", arXiv 2102.00079.
    """
    smooth = values = pairs = 0
    sums = np.zeros(2)
    for fine, coarse in zip(floats, int8s, strict=True):
        mask = smooth_mask(fine)
        smooth += int(mask.sum())
        values += mask.size
        for axis in (0, 1):
            area = np.moveaxis(mask, axis, 0)
            both = area[1:-2] & area[2:-1]
            pairs += int(both.sum())
            for index, image in enumerate((np.rint(fine), np.rint(coarse))):
                sums[index] += _contours(np.moveaxis(image, axis, 0), both)
    strengths = np.sqrt(sums / max(pairs, 1))
    return Banding(
        smooth=smooth / max(values, 1), float_=float(strengths[0]), int8=float(strengths[1])
    )


def smooth_mask(image: Floats) -> NDArray[np.bool_]:
    """Return where ``(h, w, 3)`` grey levels are smooth; the border of 3 pixels never is."""
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, 2, 0)))[None].float()
    mask = np.zeros(image.shape, np.bool_)
    if min(image.shape[:2]) < WINDOW:
        return mask
    span = functional.max_pool2d(planes, WINDOW, 1) + functional.max_pool2d(-planes, WINDOW, 1)
    inner = np.moveaxis(span[0].numpy() <= SMOOTH_RANGE, 0, 2)
    mask[_HALF:-_HALF, _HALF:-_HALF] = inner
    return mask


def _contours(image: Floats, both: NDArray[np.bool_]) -> float:
    """Sum the squared heights of contours along the first axis; ``both`` starts at pair (1, 2)."""
    jumps = np.diff(image.astype(np.float64), axis=0)
    flat = (jumps[:-2] == 0) & (jumps[2:] == 0)
    return float(np.square(jumps[1:-1])[flat & both].sum())
