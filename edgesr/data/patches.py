"""Training patches as a pure function of (seed, step, rank).

Nothing is carried from one batch to the next: any process can make any batch, so a resumed run
sees exactly the patches that it would have seen, whatever the number of worker processes.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgesr.data.cache import DecodedImages
from edgesr.data.degradation import DEGRADATIONS
from edgesr.errors import ConfigError, DatasetError

Sampling = Literal["image", "area"]
Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Pixel = TypeVar("Pixel", bound=np.generic)
SYMMETRIES = 8
"""Flips and rotations of a square."""
_MARGIN = 8
_JPEG_BLOCK = 8


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a patch is cut.

    Attributes:
        index: of the image.
        top: first row in low-resolution pixels.
        left: first column in low-resolution pixels.
        symmetry: flip and rotation, see ``dihedral``.
    """

    index: int
    top: int
    left: int
    symmetry: int


@dataclass(frozen=True, kw_only=True)
class PatchSampler:
    """Draws aligned low- and high-resolution patches with uniform flips and rotations.

    Attributes:
        images: decoded pairs.
        patch_size: side of a low-resolution patch in pixels.
        patch_milestones: steps at which the side becomes the next of ``patch_sizes``.
        patch_sizes: sides that follow on ``patch_size``.
        batch_size: patches a batch.
        seed: decides every draw together with step and rank.
        rank: process number; every process draws its own patches.
        sampling: ``image`` draws every image equally often, ``area`` every pixel.
        degradation: key of ``DEGRADATIONS``. ``bicubic`` cuts the decoded low-resolution images;
            any other makes the low-resolution patch from the high-resolution image, anew for every
            patch.

    Raises:
        DatasetError: an image is smaller than a patch, or there are none.
        ConfigError: the degradation is unknown.
    """

    images: DecodedImages
    patch_size: int
    batch_size: int
    seed: int
    rank: int = 0
    sampling: Sampling = "image"
    degradation: str = "bicubic"
    patch_milestones: tuple[int, ...] = ()
    patch_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check that the degradation is known and a patch fits into every image."""
        if self.degradation not in DEGRADATIONS:
            raise ConfigError(
                f"degradation = {self.degradation!r}: want one of {', '.join(DEGRADATIONS)}"
            )
        if not self.images.lr:
            raise DatasetError("no training images are left; add images or hold out fewer")
        largest = max(self.patch_size, *self.patch_sizes, 0)
        for name, image in zip(self.images.names, self.images.lr, strict=True):
            if min(image.shape[:2]) < largest:
                height, width = image.shape[:2]
                raise DatasetError(
                    f"{name}: low-resolution side is {width}x{height}, smaller than a patch of "
                    f"{largest}; remove the image or train with smaller patches (--patch-size, "
                    "--patch-sizes)"
                )

    def side_at(self, step: int) -> int:
        """Return the side of a low-resolution patch of ``step``."""
        sides = (self.patch_size, *self.patch_sizes)
        return sides[sum(step >= milestone for milestone in self.patch_milestones)]

    def places(self, step: int) -> list[Place]:
        """Return where the patches of ``step`` are cut."""
        random = np.random.default_rng((self.seed, step, self.rank))
        side = self.side_at(step)
        found = []
        for index in self._draw_images(random, side):
            height, width, _ = self.images.lr[index].shape
            top = int(random.integers(height - side + 1))
            left = int(random.integers(width - side + 1))
            symmetry = int(random.integers(SYMMETRIES))
            found.append(Place(index=int(index), top=top, left=left, symmetry=symmetry))
        return found

    def batch(self, step: int) -> Batch:
        """Return the batch of ``step``.

        Returns:
            LR ``(batch, patch, patch, 3)`` and HR ``(batch, patch * scale, patch * scale, 3)``,
            uint8 RGB.
        """
        side, scale = self.side_at(step), self.images.scale
        lr = np.empty((self.batch_size, side, side, 3), dtype=np.uint8)
        hr = np.empty((self.batch_size, side * scale, side * scale, 3), dtype=np.uint8)
        for row, place in enumerate(self.places(step)):
            if self.degradation == "bicubic":
                patch = _cut(self.images.lr[place.index], place, side, 1)
            else:
                seed = (self.seed, step, self.rank, row + 1)
                patch = self._degraded(place.index, place.top, place.left, side, seed=seed)
            lr[row] = dihedral(patch, place.symmetry)
            hr[row] = dihedral(
                _cut(self.images.hr[place.index], place, side, scale), place.symmetry
            )
        return lr, hr

    def _degraded(
        self, index: int, top: int, left: int, side: int, *, seed: tuple[int, ...]
    ) -> NDArray[np.uint8]:
        """Degrade the patch at ``top``, ``left`` (in LR pixels) together with what lies round it.

        Without the margin the mirrored border of every blur would be inside the patch. It varies
        by a block of JPEG, or the blocks would always begin at the corner of the patch.
        """
        random = np.random.default_rng(seed)
        hr, scale = self.images.hr[index], self.images.scale
        height, width = self.images.lr[index].shape[:2]
        margins = _MARGIN + random.integers(_JPEG_BLOCK, size=4)
        up, before = max(0, top - int(margins[0])), max(0, left - int(margins[1]))
        down = min(height, top + side + int(margins[2]))
        after = min(width, left + side + int(margins[3]))
        window = hr[up * scale : down * scale, before * scale : after * scale]
        lr = DEGRADATIONS[self.degradation](window, scale, int(random.integers(2**63)))
        return lr[top - up : top - up + side, left - before : left - before + side]

    def _draw_images(self, random: np.random.Generator, side: int) -> NDArray[np.intp]:
        count = len(self.images.lr)
        if self.sampling == "image":
            return random.integers(count, size=self.batch_size)
        last = side - 1
        places = [(i.shape[0] - last) * (i.shape[1] - last) for i in self.images.lr]
        weights = np.asarray(places, dtype=np.float64)
        return random.choice(count, size=self.batch_size, p=weights / weights.sum())


def _cut(image: NDArray[np.uint8], place: Place, side: int, scale: int) -> NDArray[np.uint8]:
    top, left, size = place.top * scale, place.left * scale, side * scale
    return image[top : top + size, left : left + size]


def dihedral(image: NDArray[Pixel], symmetry: int) -> NDArray[Pixel]:
    """Return one of the eight flips and rotations of a square ``(h, w, ...)`` (0 = itself)."""
    turned = np.rot90(image, symmetry % 4)
    return turned[:, ::-1] if symmetry >= 4 else turned  # noqa: PLR2004
