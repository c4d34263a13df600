"""Evaluate a denoiser window by window inside every step, with the result of the whole frame.

Tiles of whole trajectories would need a border of the network's reach for each step. Here the
frame takes every step as one, and only the network sees windows: each is read with a border of the
network's reach, of which nothing is kept. Windows start at multiples of the network's own grid of
halvings, and a side that is no multiple ends at the image's own edge, so a network pads a window
only where it would pad the frame.

The result is not the frame's bit for bit: the convolutions of float32 libraries choose the order of
their sums by the size of the image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from edgesr.diffusion.prediction import Prediction
from edgesr.errors import DataError
from edgesr.models.denoisers import DenoiserDescriptor
from edgesr.tiling import Span, fit_window, plan_spans

_CUBIC_REACH = 2
"""Low-resolution pixels to each side that the bicubic centre reads."""


class StepNetwork(Protocol):
    """A network that predicts on scaled noisy images; ``edgesr.models``' denoisers are."""

    @property
    def prediction(self) -> Prediction:
        """What it returns."""

    @property
    def scale(self) -> int:
        """Upscaling factor."""

    def __call__(self, x_t: Tensor, timestep: Tensor, lr: Tensor, /) -> Tensor:
        """Predict from ``(n, 3, s h, s w)``, ``(n,)`` and ``(n, 3, h, w)``, as ``x_t`` in shape."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One window, in low-resolution pixels: what it reads and keeps of each axis."""

    rows: Span
    columns: Span


def halo_of(about: DenoiserDescriptor) -> int | None:
    """Return the low-resolution pixels that an output pixel sees to each side, at most.

    A receptive field does not lie evenly round its pixel where a network has halvings: it is up to
    half their multiple further to one side. The centre that a network makes for itself sees
    further than the network.

    Args:
        about: the denoiser.

    Returns:
        None where the network sees the whole image.
    """
    if about.receptive_field is None:
        return None
    return about.receptive_field // 2 + about.multiple // 2 + _CUBIC_REACH


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


class TiledNetwork:
    """A denoiser's network that sees one tile at a time.

    Args:
        network: the network.
        tiles: windows that cover the images it will be given.
        on_tile: called after each.
    """

    def __init__(
        self,
        network: StepNetwork,
        tiles: Sequence[Tile],
        *,
        on_tile: Callable[[], None] | None = None,
    ) -> None:
        self._network, self._tiles, self._on_tile = network, tiles, on_tile

    @property
    def prediction(self) -> Prediction:
        """What the network returns."""
        return self._network.prediction

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self._network.scale

    def __call__(self, x_t: Tensor, timestep: Tensor, lr: Tensor, /) -> Tensor:
        """Predict as the network does, for ``(n, 3, s h, s w)``, ``(n,)`` and ``(n, 3, h, w)``."""
        joined = torch.empty_like(x_t)
        for tile in self._tiles:
            (rows, kept_rows, own_rows), (columns, kept_columns, own_columns) = (
                _slices(span, self.scale) for span in (tile.rows, tile.columns)
            )
            window = lr[
                :, :, tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop
            ]
            part = self._network(x_t[:, :, rows, columns], timestep, window)
            joined[:, :, kept_rows, kept_columns] = part[:, :, own_rows, own_columns]
            if self._on_tile is not None:
                self._on_tile()
        return joined


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


def _slices(span: Span, scale: int) -> tuple[slice, slice, slice]:
    """Return what a window reads, what it keeps of the frame, and that in its own pixels."""
    start, stop, keep_start, keep_stop = (
        scale * edge for edge in (span.start, span.stop, span.keep_start, span.keep_stop)
    )
    return (
        slice(start, stop),
        slice(keep_start, keep_stop),
        slice(keep_start - start, keep_stop - start),
    )
