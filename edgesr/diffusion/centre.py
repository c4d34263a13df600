"""The output of a small regression network as the centre of a path, instead of bicubic.

On a phone the network computes in int8. Whatever is made for the phone (calibration, training of
integers, figures) is made with the centre that its integers give, so that the steps see in the file
what they were made for.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.tiles import join_tiles
from edgesr.models.centre import CentreNetwork
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.models.quantized import float_graph
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.scheme import CODE_MIN, QuantizedGraph
from edgesr.quant.simulate import simulate
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


def regression_of(centre: CentreNetwork | None, *, tile: int = 0) -> RegressionCentre | None:
    """Return what enlarges with a denoiser's centre; None where that is bicubic.

    Args:
        centre: ``LoadedDenoiser.centre``.
        tile: see ``RegressionCentre``.
    """
    return None if centre is None else RegressionCentre(centre, tile=tile)


def quantize_centre(centre: CentreNetwork, batches: Sequence[CalibrationBatch]) -> QuantizedGraph:
    """Quantize the network of a centre to ``wi8_ai8``, both ends on whole grey levels.

    Args:
        centre: float network.
        batches: low-resolution images to calibrate with, as for a network of one pass. What its
            ranges cut off is in the start of every step, so they want more images than the steps.

    Raises:
        DataError: there are no images.
        GraphError: the network has no integer form.
    """
    return quantize_graph(float_graph(centre.module, centre.descriptor.name), batches).quantized


def with_integer_centre(loaded: LoadedDenoiser, quantized: QuantizedGraph | None) -> LoadedDenoiser:
    """Return a denoiser whose centre is made by integers, as the phone computes them.

    Args:
        loaded: float denoiser; its own network stays float.
        quantized: of its centre; None where that is bicubic, and nothing changes.
    """
    if loaded.centre is None or quantized is None:
        return loaded
    return replace(loaded, centre=replace(loaded.centre, module=_Integers(quantized)))


class _Integers(nn.Module):
    """A quantized network on grey levels, by integer simulation."""

    def __init__(self, quantized: QuantizedGraph) -> None:
        super().__init__()
        self._quantized = quantized

    def forward(self, levels: Tensor) -> Tensor:
        codes = (levels.round() + CODE_MIN).to(torch.int8).permute(0, 2, 3, 1).contiguous()
        return simulate(self._quantized, codes).permute(0, 3, 1, 2).float() - CODE_MIN
