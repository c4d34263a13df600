"""Gaussian and Poisson noise, grey or colour, on images in grey levels."""

import numpy as np
from numpy.typing import NDArray

_PEAK = 255.0
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def gaussian_noise(
    image: NDArray[np.float32], sigma: float, random: np.random.Generator, *, grey: bool
) -> NDArray[np.float32]:
    """Add normal noise to ``(h, w, c)``.

    Args:
        image: values in [0, 255].
        sigma: standard deviation in grey levels.
        random: where the noise is drawn from.
        grey: the same noise in all channels.

    Returns:
        The noisy image; it may leave [0, 255].
    """
    height, width, channels = image.shape
    shape = (height, width, 1 if grey else channels)
    return image + np.float32(sigma) * random.standard_normal(shape, dtype=np.float32)


def poisson_noise(
    image: NDArray[np.float32], scale: float, random: np.random.Generator, *, grey: bool
) -> NDArray[np.float32]:
    """Add noise as photon counting makes it: its variance is ``scale**2`` times the level.

    One grey level counts as one photon, so that ``scale`` 1 gives a standard deviation of 16 levels
    at white and 4 at level 16.

    Args:
        image: ``(h, w, 3)`` RGB; values are counted within [0, 255].
        scale: factor on the noise.
        random: where the noise is drawn from.
        grey: noise of the grey image, the same in all channels.

    Returns:
        The noisy image; it may leave [0, 255].
    """
    level = np.clip(image, 0, _PEAK)
    if grey:
        level = (level * _GREY).sum(axis=-1, keepdims=True)
    counted = random.poisson(level).astype(np.float32)
    return image + np.float32(scale) * (counted - level)
