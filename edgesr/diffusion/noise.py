"""Noise that depends on a seed, a state and a place, and on nothing else.

It is an endless plane: a tile that knows where it lies in the frame draws exactly what the whole
frame draws there, in any order, without either being stored. The plane is made of blocks with a
generator of their own. It is drawn as float32 on the CPU and then moved, so that it does not
depend on the device or on the version of PyTorch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgesr.diffusion.plane import BLOCK, block_noise
from edgesr.errors import DiffusionError

_AXES = 4


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Standard normal noise for a frame, or for a window of it.

    Attributes:
        seed: 0 or more.
        top: row of the frame where the window starts.
        left: column of the frame where the window starts.
    """

    seed: int
    top: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        """Refuse what has no place on the plane.

        Raises:
            DiffusionError: a negative seed, row or column.
        """
        if min(self.seed, self.top, self.left) < 0:
            raise DiffusionError(
                f"noise has seed {self.seed} at row {self.top}, column {self.left}, "
                "want none below 0"
            )

    def window(self, *, top: int, left: int) -> "Noise":
        """Return the noise of a window that starts at this row and column of this one."""
        return replace(self, top=self.top + top, left=self.left + left)

    def draw(self, like: Tensor, *, state: int) -> Tensor:
        """Return the noise that leads to a state.

        Args:
            like: ``(n, c, h, w)``: the noise has its shape, dtype and device. Image ``i`` of a
                batch has noise of its own, the same in a batch of any size.
            state: 0 or more; states have independent noise.

        Raises:
            DiffusionError: not four axes.
        """
        if like.ndim != _AXES:
            raise DiffusionError(f"noise for shape {tuple(like.shape)}, want (n, c, h, w)")
        images, _, height, width = like.shape
        plane = torch.empty(like.shape, dtype=torch.float32)
        for image in range(images):
            for row in range(self.top // BLOCK, -(-(self.top + height) // BLOCK)):
                for column in range(self.left // BLOCK, -(-(self.left + width) // BLOCK)):
                    self._fill(plane[image], (state, image, row, column))
        return plane.to(dtype=like.dtype, device=like.device)

    def _fill(self, plane: Tensor, place: tuple[int, int, int, int]) -> None:
        _, _, row, column = place
        channels, height, width = plane.shape
        block = torch.from_numpy(block_noise(self.seed, place, channels))
        top, left = row * BLOCK - self.top, column * BLOCK - self.left
        rows = slice(max(top, 0), min(top + BLOCK, height))
        columns = slice(max(left, 0), min(left + BLOCK, width))
        plane[:, rows, columns] = block[
            :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
