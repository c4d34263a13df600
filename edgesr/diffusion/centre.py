"""The output of a small regression network as the centre of a path, instead of bicubic."""

import torch
from torch import Tensor

from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.tiles import join_tiles
from edgesr.models.centre import CentreNetwork
from edgesr.tiling import plan_tiles


class RegressionCentre:
    """Enlarges low-resolution images with a regression network; no gradient flows through it.

    Denoisers that share one share its work: the last image is remembered, by identity, so that
    whoever asks for the centre of the same tensor gets it without another evaluation. That tensor
    must not be changed in place.

    Args:
        network: the trained network.
        tile: longest side in low-resolution pixels of the windows that it sees, 0 for one piece.
            A window is read with a border of the network's reach, so the result is the same.
    """

    def __init__(self, network: CentreNetwork, *, tile: int = 0) -> None:
        self._network, self._tile = network, tile
        self._last: tuple[Tensor, Tensor] | None = None

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self._network.scale

    @property
    def halo(self) -> int:
        """Low-resolution pixels that an output pixel sees to each side."""
        return self._network.descriptor.receptive_field // 2

    def __call__(self, lr: Tensor) -> Tensor:
        """Map ``(n, 3, h, w)`` to ``(n, 3, s h, s w)``, both in [-1, 1]; clipped, not rounded.

        Raises:
            DataError: a tile has nothing left between its borders.
        """
        if self._last is None or self._last[0] is not lr:
            self._last = (lr, self._enlarge(lr))
        return self._last[1]

    @torch.no_grad()
    def _enlarge(self, lr: Tensor) -> Tensor:
        count, channels, height, width = lr.shape
        module = self._network.module.to(lr.device)
        longest = self._tile or max(height, width)
        tiles = plan_tiles((height, width), tile=longest, multiple=1, halo=self.halo)
        levels = to_grey_levels(lr)
        joined = lr.new_empty((count, channels, self.scale * height, self.scale * width))
        return from_grey_levels(
            join_tiles(
                lambda tile: module(levels[:, :, tile.rows.read, tile.columns.read]),
                tiles,
                into=joined,
                scale=self.scale,
            ).clamp(0.0, 255.0)
        )
