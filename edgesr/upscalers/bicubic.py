"""Bicubic interpolation as an upscaler: the baseline of every table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesr.imresize import upscale_bicubic


@dataclass(frozen=True, kw_only=True)
class BicubicUpscaler:
    """MATLAB-compatible bicubic enlargement, always in one piece.

    Its sample positions are computed from the image's edge, in floating point, so windows would
    shift them by a rounding error: hence no halo.
    """

    scale: int
    name: str = "bicubic"
    halo: int | None = None
    window: tuple[int, int] | None = None

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``."""
        return upscale_bicubic(lr, self.scale)
