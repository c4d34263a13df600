"""Upscale an image by overlapping windows with the result of doing it in one piece.

Every window lies inside the image and all windows have one shape, so a network is prepared for a
single shape. A window's edge is trusted only where it is the image's own edge, since that is where
the network's zero padding belongs; elsewhere a margin of ``halo`` pixels is thrown away. With
``halo`` at least the network's reach (half its receptive field) no output pixel that is kept has
seen a wrong input pixel, so the result is the untiled one: bit for bit where the arithmetic does
not depend on the image size, as in integer networks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError

Upscale = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Maps ``(h, w, 3)`` uint8 to ``(h * scale, w * scale, 3)`` uint8."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One window along one axis, in low-resolution pixels: what it reads and what it keeps.

    Attributes:
        start: first pixel that is read.
        stop: one past the last pixel that is read.
        keep_start: first pixel whose output is kept.
        keep_stop: one past the last pixel whose output is kept.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def read(self) -> slice:
        """What the window reads."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """What is kept of it."""
        return slice(self.keep_start, self.keep_stop)

    @property
    def inner(self) -> slice:
        """What is kept of it, in the window's own pixels."""
        return slice(self.keep_start - self.start, self.keep_stop - self.start)

    def enlarged(self, scale: int) -> "Span":
        """Return the same span of an image that is ``scale`` times as large."""
        return Span(
            start=scale * self.start,
            stop=scale * self.stop,
            keep_start=scale * self.keep_start,
            keep_stop=scale * self.keep_stop,
        )


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One window, in low-resolution pixels: what it reads and keeps of each axis."""

    rows: Span
    columns: Span


def plan_spans(size: int, *, window: int, halo: int) -> list[Span]:
    """Cover ``size`` pixels with windows of exactly ``window`` pixels that lie inside.

    The kept parts follow each other without gap or overlap; each ends ``halo`` pixels before its
    window does, save at the ends of the axis.

    Raises:
        DataError: the window is wider than the axis, or it has no pixel left between its halos.
    """
    if window > size:
        raise DataError(f"window of {window} pixels is wider than the image's {size}")
    step = window - 2 * halo
    if window < size and step < 1:
        raise DataError(f"window of {window} pixels wants to be over {2 * halo}, twice the halo")
    spans: list[Span] = []
    kept = 0
    while kept < size:
        start = 0 if kept == 0 else min(kept - halo, size - window)
        stop = start + window
        keep_stop = size if stop == size else stop - halo
        spans.append(Span(start=start, stop=stop, keep_start=kept, keep_stop=keep_stop))
        kept = keep_stop
    return spans


def fit_window(size: int, *, longest: int, halo: int) -> int:
    """Return the window, at most ``longest``, that covers ``size`` with the least overlap.

    Raises:
        DataError: ``longest`` has no pixel left between its halos.
    """
    if size <= longest:
        return size
    step = longest - 2 * halo
    if step < 1:
        raise DataError(f"tile of {longest} pixels wants to be over {2 * halo}, twice the halo")
    count = -(-(size - 2 * halo) // step)
    return -(-(size - 2 * halo) // count) + 2 * halo


def plan_tiles(shape: tuple[int, int], *, tile: int, multiple: int, halo: int) -> list[Tile]:
    """Cover an image with windows of one shape, in reading order.

    Args:
        shape: ``(h, w)`` of the low-resolution image.
        tile: longest side of a window in its pixels.
        multiple: where windows may start and end; the image's own end is free.
        halo: what a window reads beyond what it keeps, at least.

    Raises:
        DataError: a tile has nothing left between its halos.
    """
    rows, columns = (_spans(side, tile=tile, multiple=multiple, halo=halo) for side in shape)
    return [Tile(rows=row, columns=column) for row in rows for column in columns]


def upscale_tiled(  # noqa: PLR0913
    lr: NDArray[np.uint8],
    upscale: Upscale,
    *,
    scale: int,
    window: tuple[int, int],
    halo: int,
    on_tile: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Upscale ``lr`` window by window.

    Args:
        lr: ``(h, w, c)`` uint8.
        upscale: applied to windows of shape ``(*window, c)``.
        scale: upscaling factor of ``upscale``.
        window: height and width of every window, each at most the image's.
        halo: low-resolution pixels that one output pixel sees beyond its own, to each side.
        on_tile: called with the number of windows done and their total after each.

    Returns:
        ``(h * scale, w * scale, c)`` uint8.

    Raises:
        DataError: a window does not fit into the image or has nothing left between its halos.
    """
    height, width, channels = lr.shape
    rows = plan_spans(height, window=window[0], halo=halo)
    columns = plan_spans(width, window=window[1], halo=halo)
    sr = np.empty((height * scale, width * scale, channels), dtype=np.uint8)
    for number, (row, column) in enumerate(((r, c) for r in rows for c in columns), start=1):
        part = upscale(lr[row.read, column.read])
        rows_sr, columns_sr = row.enlarged(scale), column.enlarged(scale)
        sr[rows_sr.kept, columns_sr.kept] = part[rows_sr.inner, columns_sr.inner]
        if on_tile is not None:
            on_tile(number, len(rows) * len(columns))
    return sr


def _spans(size: int, *, tile: int, multiple: int, halo: int) -> list[Span]:
    if size <= tile:
        return [Span(start=0, stop=size, keep_start=0, keep_stop=size)]
    cells, longest, border = -(-size // multiple), tile // multiple, -(-halo // multiple)
    if longest <= 2 * border:
        raise DataError(
            f"tile of {tile} pixels has nothing left between its borders of {multiple * border}; "
            f"want at least {multiple * (2 * border + 1)}, or 0 for one piece"
        )
    window = fit_window(cells, longest=longest, halo=border)
    return [
        Span(
            start=multiple * span.start,
            stop=min(multiple * span.stop, size),
            keep_start=multiple * span.keep_start,
            keep_stop=min(multiple * span.keep_stop, size),
        )
        for span in plan_spans(cells, window=window, halo=border)
    ]
