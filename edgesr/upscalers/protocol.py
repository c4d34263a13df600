"""What every upscaler offers, and the one way to run it on an image of any size."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.tiling import fit_window, upscale_tiled

DEFAULT_TILE = 256
"""Longest side of a window, in low-resolution pixels, where none is asked for."""


class Upscaler(Protocol):
    """Upscales 8-bit RGB images by a whole factor."""

    @property
    def name(self) -> str:
        """What results and messages call it."""
        ...

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        ...

    @property
    def halo(self) -> int | None:
        """Low-resolution pixels that an output pixel sees to each side; None where unknown."""
        ...

    @property
    def window(self) -> tuple[int, int] | None:
        """Height and width of the only input that runs in one piece; None where any does."""
        ...

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``.

        Raises:
            DataError: the image is smaller than the window.
        """
        ...


@runtime_checkable
class MultiStep(Upscaler, Protocol):
    """An upscaler that evaluates its network several times, and cuts windows inside each time."""

    @property
    def num_steps(self) -> int:
        """Network evaluations for one image."""
        ...

    def in_tiles(
        self,
        lr: NDArray[np.uint8],
        *,
        tile: int,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``.

        Args:
            lr: the image.
            tile: longest side of a window in low-resolution pixels, 0 for one piece.
            on_tile: called with the number of windows done in all steps and their total.

        Raises:
            DataError: ``tile`` is too small, or the network cannot be tiled.
        """
        ...


def network_evaluations(upscaler: Upscaler) -> int:
    """Return how often an upscaler's network sees every pixel of an image."""
    return upscaler.num_steps if isinstance(upscaler, MultiStep) else 1


def upscale_image(
    upscaler: Upscaler,
    lr: NDArray[np.uint8],
    *,
    tile: int | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Upscale ``lr``, in windows where it is large; the result does not depend on them.

    An upscaler with a fixed window always runs in that one. One of several steps cuts windows
    inside each step; its result may differ by float32 rounding.

    Args:
        upscaler: what does the work.
        lr: ``(h, w, 3)`` RGB uint8.
        tile: longest side of a window in low-resolution pixels, 0 for one piece, None for
            ``DEFAULT_TILE`` where the upscaler can be tiled.
        on_tile: called with the number of windows done and their total after each.

    Returns:
        ``(h * scale, w * scale, 3)`` RGB uint8.

    Raises:
        DataError: ``tile`` is too small or the upscaler cannot be tiled, or ``lr`` is smaller than
            a fixed window.
    """
    height, width = lr.shape[:2]
    if upscaler.window is not None:
        return _by_window(upscaler, lr, upscaler.window, on_tile)
    longest = DEFAULT_TILE if tile is None else tile
    if longest < 0:
        raise DataError(f"tile is {longest}, want 0 for one piece or a number of pixels")
    if longest == 0 or max(height, width) <= longest or (tile is None and upscaler.halo is None):
        if isinstance(upscaler, MultiStep):
            return upscaler.in_tiles(lr, tile=0, on_tile=on_tile)
        return upscaler(lr)
    if upscaler.halo is None:
        raise DataError(
            f"{upscaler.name}: it sees the whole image or its reach is unknown, so it cannot be "
            "tiled; use tile 0"
        )
    if isinstance(upscaler, MultiStep):
        return upscaler.in_tiles(lr, tile=longest, on_tile=on_tile)
    window = (
        fit_window(height, longest=longest, halo=upscaler.halo),
        fit_window(width, longest=longest, halo=upscaler.halo),
    )
    return _by_window(upscaler, lr, window, on_tile)


def _by_window(
    upscaler: Upscaler,
    lr: NDArray[np.uint8],
    window: tuple[int, int],
    on_tile: Callable[[int, int], None] | None,
) -> NDArray[np.uint8]:
    height, width = lr.shape[:2]
    if (height, width) == window:
        return upscaler(lr)
    if height < window[0] or width < window[1]:
        raise DataError(
            f"image is {height} high and {width} wide, but {upscaler.name} is fixed to {window[0]} "
            f"high and {window[1]} wide; export without --shape for every size"
        )
    if upscaler.halo is None:
        raise DataError(
            f"{upscaler.name}: its reach is unknown, so it runs only images {window[0]} high and "
            f"{window[1]} wide; export without --shape for every size"
        )
    return upscale_tiled(
        lr, upscaler, scale=upscaler.scale, window=window, halo=upscaler.halo, on_tile=on_tile
    )
