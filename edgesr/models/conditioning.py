"""What a denoiser sees beside the noisy image: the low-resolution image and the centre.

The centre is the picture that a trajectory is drawn towards: bicubic interpolation, or the output
of a small regression network. Networks work on one of two grids. On that of the low-resolution
image (``lr``) every ``scale x scale`` block of pixels is moved into channels, so that a step costs
no more than a plain network; on that of the result (``hr``) nothing is moved.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import DataError
from edgesr.imresize import imresize

GRIDS = ("lr", "hr")
_RGB = 3
_REACH = 2
"""Low-resolution pixels to each side that a cubic kernel reads."""


class BicubicCentre(nn.Module):
    """Bicubic enlargement (MATLAB's, borders repeated) as one frozen convolution.

    Args:
        scale: upscaling factor.
    """

    weight: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        side = 2 * _REACH + 1
        impulse = np.eye(side)  # row k: what pixel k adds to the pixels of the middle one
        grown = imresize(impulse[:, :, None], shape=(scale * side, side))[:, :, 0]
        taps = torch.from_numpy(grown[scale * _REACH : scale * (_REACH + 1)])
        kernels = torch.einsum("ik,jl->ijkl", taps, taps).reshape(scale**2, 1, side, side)
        weight = kernels.repeat(_RGB, 1, 1, 1).float()
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 3, h, w)`` to the enlargement with blocks in channels, ``(n, 3 s^2, h, w)``.

        The channels are in the order of torch's ``pixel_unshuffle``.
        """
        padded = functional.pad(lr, (_REACH,) * 4, mode="replicate")
        return functional.conv2d(padded, self.weight.to(lr.dtype), groups=_RGB)


class Conditioning(nn.Module):
    """Joins noisy image, centre and low-resolution image to the one tensor that a network reads.

    Args:
        scale: upscaling factor.
        grid: ``lr`` or ``hr``, see above. On ``lr`` the low-resolution image is joined as well.
        multiple: the sides of the tensor are padded to a multiple of this, by reflection.
    """

    def __init__(self, scale: int, *, grid: str, multiple: int) -> None:
        super().__init__()
        if grid not in GRIDS:
            raise DataError(f"grid {grid!r} is unknown; choose one of {', '.join(GRIDS)}")
        self.scale, self.grid, self.multiple = scale, grid, multiple
        self.bicubic = BicubicCentre(scale)

    @property
    def channels(self) -> int:
        """Channels of the joined tensor."""
        return _RGB * (2 * self.scale**2 + 1) if self.grid == "lr" else 2 * _RGB

    def centre(self, lr: Tensor) -> Tensor:
        """Return the bicubic centre ``(n, 3, s h, s w)`` of ``lr`` ``(n, 3, h, w)``."""
        return functional.pixel_shuffle(self.bicubic(lr), self.scale)

    def forward(self, x_t: Tensor, lr: Tensor, centre: Tensor | None) -> Tensor:
        """Join the images.

        Args:
            x_t: ``(n, 3, s h, s w)``, scaled as the trajectory says.
            lr: ``(n, 3, h, w)`` in [-1, 1].
            centre: ``(n, 3, s h, s w)`` in [-1, 1]; None takes the bicubic one.

        Returns:
            ``(n, channels, h, w)`` on grid ``lr``: x_t, centre, lr; ``(n, 6, s h, s w)`` on
            ``hr``: centre, x_t. Both padded at the bottom and right.

        Raises:
            DataError: the shapes do not fit each other, or a side is too short to be padded.
        """
        self._check(x_t, lr, "x_t")
        if centre is not None:
            self._check(centre, lr, "centre")
        if self.grid == "hr":
            shown = self.centre(lr) if centre is None else centre
            return self.pad(torch.cat([shown, x_t], dim=1))
        packed = self.bicubic(lr) if centre is None else self._blocks(centre)
        return self.pad(torch.cat([self._blocks(x_t), packed, lr], dim=1))

    def crop(self, prediction: Tensor, lr: Tensor) -> Tensor:
        """Cut a padded prediction to ``scale`` times the size of ``lr``."""
        height, width = lr.shape[2:]
        return prediction[:, :, : self.scale * height, : self.scale * width]

    def pad(self, joined: Tensor) -> Tensor:
        """Pad ``(n, c, h, w)`` of the grid by reflection at the bottom and right.

        Raises:
            DataError: a side is too short for that.
        """
        height, width = joined.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        if below == right == 0:
            return joined
        if below >= height or right >= width:
            raise DataError(
                f"an image of {width}x{height} pixels is too small: its sides are padded to "
                f"multiples of {self.multiple} by reflection, which wants at least "
                f"{self.multiple // 2 + 1} pixels; give a larger one"
            )
        return functional.pad(joined, (0, right, 0, below), mode="reflect")

    def _blocks(self, image: Tensor) -> Tensor:
        return functional.pixel_unshuffle(image, self.scale)

    def _check(self, image: Tensor, lr: Tensor, what: str) -> None:
        if lr.ndim != len("nchw") or lr.shape[1] != _RGB:
            raise DataError(f"lr has shape {tuple(lr.shape)}, want (n, 3, h, w)")
        count, _, height, width = lr.shape
        wanted = (count, _RGB, self.scale * height, self.scale * width)
        if tuple(image.shape) != wanted:
            raise DataError(
                f"{what} has shape {tuple(image.shape)}, want {wanted}: {self.scale} times lr"
            )
