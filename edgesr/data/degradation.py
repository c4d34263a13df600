"""From a high-resolution image to a low-resolution one: bicubic, or as photographs get worse.

A degradation is a pure function of image, scale and seed: neither the order of the images nor the
process decides anything. The same bits come from the same versions of numpy and Pillow.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edgesr.data.blur_kernels import blur
from edgesr.data.degradation_draws import StageDraw, draw_chain
from edgesr.data.degradation_settings import RealEsrganSettings
from edgesr.data.jpeg import jpeg_round_trip, to_uint8
from edgesr.data.noise import gaussian_noise, poisson_noise
from edgesr.data.resample import resample
from edgesr.errors import DataError
from edgesr.imresize import downscale

Seed = int | tuple[int, ...]
"""Whole numbers from 0 on."""
Degradation = Callable[[NDArray[np.uint8], int, Seed], NDArray[np.uint8]]
"""``(hr, scale, seed) -> lr``."""
_RGB = 3
_PUBLISHED = RealEsrganSettings()


def bicubic(hr: NDArray[np.uint8], scale: int, seed: Seed = 0) -> NDArray[np.uint8]:  # noqa: ARG001
    """Return the bicubic low-resolution image of ``hr``; the seed decides nothing.

    Args:
        hr: ``(h, w, 3)`` RGB uint8, both sides divisible by ``scale``.
        scale: whole shrink factor.
        seed: not used.

    Raises:
        DataError: a side is not divisible by ``scale``.
    """
    return downscale(hr, scale)


def degrade(
    hr: NDArray[np.uint8], scale: int, seed: Seed, settings: RealEsrganSettings = _PUBLISHED
) -> NDArray[np.uint8]:
    """Return a low-resolution image of ``hr`` by the second-order chain of Real-ESRGAN.

    Two rounds of blur, resize, noise and JPEG; the last JPEG comes before or after the resize to
    the final size with its sinc filter.

    Args:
        hr: ``(h, w, 3)`` RGB uint8, both sides divisible by ``scale``.
        scale: whole shrink factor.
        seed: decides every draw.
        settings: ranges and probabilities.

    Returns:
        ``(h / scale, w / scale, 3)`` RGB uint8.

    Raises:
        DataError: another shape or type, or a side not divisible by ``scale``.

    Source: Wang, Xie, Dong, Shan 2021, arXiv 2107.10833, section 3, figure 2.
    """
    _check(hr, scale)
    random = np.random.default_rng(seed)
    draw = draw_chain(random, settings)
    height, width = hr.shape[:2]
    final = (height // scale, width // scale)
    image = _before_jpeg(hr.astype(np.float32), draw.first, (height, width), random)
    image = jpeg_round_trip(image, draw.first.jpeg_quality)
    image = _before_jpeg(image, draw.second, final, random)
    if not draw.jpeg_last:
        image = jpeg_round_trip(image, draw.second.jpeg_quality)
    image = resample(image, final, draw.final_resampling)
    if draw.final_sinc is not None:
        image = blur(image, draw.final_sinc.make())
    if draw.jpeg_last:
        image = jpeg_round_trip(image, draw.second.jpeg_quality)
    return to_uint8(image)


DEGRADATIONS: Mapping[str, Degradation] = MappingProxyType(
    {
        "bicubic": bicubic,
        "real_esrgan": degrade,
    }
)


def _before_jpeg(
    image: NDArray[np.float32],
    draw: StageDraw,
    shape: tuple[int, int],
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Blur, resize and add noise; ``shape`` is the size that the resize factor speaks of."""
    if draw.kernel is not None:
        image = blur(image, draw.kernel.make())
    height, width = (max(1, int(side * draw.resize_factor)) for side in shape)
    image = resample(image, (height, width), draw.resampling)
    add = gaussian_noise if draw.noise == "gaussian" else poisson_noise
    image = add(image, draw.noise_strength, random, grey=draw.grey_noise)
    return np.clip(image, 0, 255)


def _check(hr: NDArray[np.uint8], scale: int) -> None:
    if hr.dtype != np.uint8 or hr.ndim != _RGB or hr.shape[-1] != _RGB:
        raise DataError(f"cannot degrade {hr.dtype} of shape {hr.shape}; want uint8 (h, w, 3)")
    height, width = hr.shape[:2]
    if scale < 1 or not height or not width or height % scale or width % scale:
        raise DataError(f"image of {width}x{height} is not divisible by {scale}; modcrop it first")
