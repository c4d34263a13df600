"""JPEG compression in memory."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgesr.errors import DataError

_WORST, _BEST = 1, 100
_HALF_CHROMA = 2


def jpeg_round_trip(image: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Compress ``(h, w, 3)`` RGB in [0, 255] and decode it again.

    Args:
        image: rounded and clipped to 8 bits first, as a file would hold it.
        quality: libjpeg's, 1 to 100; chroma is halved in both directions (4:2:0).

    Returns:
        Whole values in [0, 255].

    Raises:
        DataError: the quality is out of range.
    """
    if not _WORST <= quality <= _BEST:
        raise DataError(f"JPEG quality is {quality}, want {_WORST} to {_BEST}")
    stream = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(
        stream, format="JPEG", quality=int(quality), subsampling=_HALF_CHROMA
    )
    return np.asarray(Image.open(stream), dtype=np.float32)


def to_uint8(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round to the nearest grey level and clip to [0, 255]."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
