"""Held-out crops side by side: bicubic, what the network makes of them, the photograph."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from edgesr.data.cache import DecodedImages
from edgesr.imresize import upscale_bicubic
from edgesr.train.batches import to_float

SIDE = 128
"""Longest side of a crop in high-resolution pixels."""

_GAP, _HEAD = 4, 16
_PAPER, _INK = 255, 0

Pixels = NDArray[np.uint8]


@torch.no_grad()
def sample_grid(
    pictures: Callable[[Tensor], Mapping[str, Tensor]],
    held_out: DecodedImages,
    *,
    count: int,
    device: torch.device,
) -> Pixels:
    """Return one row of named pictures for each of the first ``count`` images, ``(h, w, 3)`` RGB.

    A crop is the middle of its image; the network sees nothing round it.

    Args:
        pictures: maps ``(1, 3, h, w)`` in [0, 255] to named enlargements.
        held_out: pairs, at least one.
        count: at least 1.
        device: of the network.
    """
    rows = []
    for lr, hr in list(zip(held_out.lr, held_out.hr, strict=True))[:count]:
        small, large = _middle(np.asarray(lr), np.asarray(hr), held_out.scale)
        batch = to_float(torch.from_numpy(small.copy())[None], device)
        made = {name: _levels(one) for name, one in pictures(batch).items()}
        bicubic = upscale_bicubic(small, held_out.scale)
        rows.append({"bicubic": bicubic, **made, "photograph": large})
    return _sheet(rows)


def _middle(lr: Pixels, hr: Pixels, scale: int) -> tuple[Pixels, Pixels]:
    side = SIDE // scale
    height, width = (min(side, length) for length in lr.shape[:2])
    top, left = (lr.shape[0] - height) // 2, (lr.shape[1] - width) // 2
    large = hr[scale * top : scale * (top + height), scale * left : scale * (left + width)]
    return lr[top : top + height, left : left + width], large


def _levels(image: Tensor) -> Pixels:
    levels = image[0].clamp(0, _PAPER).round().to(torch.uint8)
    found: Pixels = levels.permute(1, 2, 0).cpu().numpy()
    return found


def _sheet(rows: list[dict[str, Pixels]]) -> Pixels:
    cell = SIDE + _GAP
    size = (cell * len(rows[0]) - _GAP, _HEAD + cell * len(rows) - _GAP)
    sheet = Image.new("RGB", size, (_PAPER,) * 3)
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(rows[0]):
        pen.text((cell * column + 1, 2), name, fill=(_INK,) * 3)
    for number, row in enumerate(rows):
        for column, picture in enumerate(row.values()):
            place = (cell * column, _HEAD + cell * number)
            sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), place)
    return np.asarray(sheet)
