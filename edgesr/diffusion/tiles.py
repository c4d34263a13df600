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
from typing import Protocol

import torch
from torch import Tensor

from edgesr.diffusion.prediction import Prediction
from edgesr.models.denoisers import DenoiserDescriptor
from edgesr.tiling import Tile, plan_tiles

__all__ = ["StepNetwork", "Tile", "TiledNetwork", "halo_of", "join_tiles", "plan_tiles"]

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

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        """Predict from ``(n, 3, s h, s w)``, ``(n,)`` and ``(n, 3, h, w)``, as ``x_t`` in shape.

        Without ``centre``, of the shape of ``x_t``, the network makes the bicubic one itself.
        """


def halo_of(about: DenoiserDescriptor) -> int | None:
    """Return the low-resolution pixels that an output pixel sees to each side, at most.

    A receptive field does not lie evenly round its pixel where a network has halvings: it is up to
    half their multiple further to one side. The bicubic centre that a network makes for itself sees
    further than the network; one that is handed to it is cut from the frame's and adds nothing.

    Args:
        about: the denoiser.

    Returns:
        None where the network sees the whole image.
    """
    if about.receptive_field is None:
        return None
    return about.receptive_field // 2 + about.multiple // 2 + _CUBIC_REACH


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

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        """Predict as the network does, for ``(n, 3, s h, s w)``, ``(n,)`` and ``(n, 3, h, w)``.

        A ``centre`` is that of the frame: windows are cut from it, whatever made it.
        """

        def predicted(tile: Tile) -> Tensor:
            rows, columns = (span.enlarged(self.scale) for span in (tile.rows, tile.columns))
            seen = x_t[:, :, rows.read, columns.read]
            window = lr[:, :, tile.rows.read, tile.columns.read]
            if centre is None:
                part = self._network(seen, timestep, window)
            else:
                part = self._network(seen, timestep, window, centre[:, :, rows.read, columns.read])
            if self._on_tile is not None:
                self._on_tile()
            return part

        return join_tiles(predicted, self._tiles, into=torch.empty_like(x_t), scale=self.scale)


def join_tiles(
    part_of: Callable[[Tile], Tensor], tiles: Sequence[Tile], *, into: Tensor, scale: int
) -> Tensor:
    """Fill ``into``, ``(n, c, s h, s w)``, with what is kept of each tile, and return it.

    Args:
        part_of: makes of a tile what it reads, enlarged by ``scale``.
        tiles: windows that cover the low-resolution image.
        into: is overwritten.
        scale: upscaling factor.
    """
    for tile in tiles:
        rows, columns = (span.enlarged(scale) for span in (tile.rows, tile.columns))
        part = part_of(tile)
        into[:, :, rows.kept, columns.kept] = part[:, :, rows.inner, columns.inner]
    return into
