"""PSNR and SSIM under the named protocols of the field.

One number without its protocol means nothing: the same picture differs by 1.8 dB between RGB and
luma. ``measure`` therefore takes a protocol by name and every result carries that name.

| protocol    | compares                 | border cut off | used by                          |
|-------------|--------------------------|----------------|----------------------------------|
| `mai`       | RGB                      | none           | Mobile AI and AIM challenges     |
| `ntire-esr` | RGB                      | `scale`        | NTIRE efficient super-resolution |
| `classic-y` | BT.601 luma, not rounded | `scale`        | papers on Set5, Set14, BSD100    |

Images are uint8: a network's output is rounded before it is measured. The result for a set of
images is the mean of the scores of the images.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError

_PEAK = 255.0
_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * _PEAK) ** 2
_C2 = (0.03 * _PEAK) ** 2
_LUMA = np.array([65.481, 128.553, 24.966]) / _PEAK
_LUMA_OFFSET = 16.0
_RGB_AXES = 3


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is compared.

    Attributes:
        name: key in ``PROTOCOLS``.
        title: one line for listings.
        colour: compare the three channels, or the BT.601 luma.
        border: pixels cut off at each side, in units of ``scale``.
    """

    name: str
    title: str
    colour: Literal["rgb", "y"]
    border: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """One image's scores: ``psnr`` in dB (``inf`` for equal images), ``ssim`` in [-1, 1]."""

    psnr: float
    ssim: float


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "mai": Protocol(name="mai", title="RGB, no border", colour="rgb", border=0),
        "ntire-esr": Protocol(
            name="ntire-esr", title="RGB, border = scale", colour="rgb", border=1
        ),
        "classic-y": Protocol(
            name="classic-y", title="BT.601 luma, border = scale", colour="y", border=1
        ),
    }
)


def measure(sr: NDArray[np.uint8], hr: NDArray[np.uint8], *, scale: int, protocol: str) -> Score:
    """Compare ``sr`` with ``hr``, both ``(h, w, 3)`` RGB uint8, under the named protocol.

    Raises:
        DataError: an unknown protocol, other types or shapes, or images under 11 pixels a side
            once the border is cut off.
    """
    rule = PROTOCOLS.get(protocol)
    if rule is None:
        raise DataError(f"protocol {protocol!r} is unknown; choose one of {', '.join(PROTOCOLS)}")
    _check(sr, hr)
    border = rule.border * scale
    planes = [_planes(_shave(image, border), rule.colour) for image in (sr, hr)]
    return Score(psnr=psnr(*planes), ssim=ssim(*planes))


def psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the peak signal-to-noise ratio in dB for values in [0, 255]; ``inf`` when equal."""
    error = float(np.mean(np.square(a - b)))
    return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def ssim(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the mean structural similarity of ``(c, h, w)`` values in [0, 255].

    Gaussian window of 11x11 with sigma 1.5, K1 = 0.01, K2 = 0.03, windows wholly inside the image,
    channels averaged.

    Raises:
        DataError: a side is shorter than the window.

    Source: Wang, Bovik, Sheikh, Simoncelli 2004, doi:10.1109/TIP.2003.819861.
    """
    if min(a.shape[-2:]) < _WINDOW:
        height, width = a.shape[-2:]
        raise DataError(f"SSIM wants at least {_WINDOW} pixels a side, came {width}x{height}")
    return float(np.mean([_ssim_plane(x, y) for x, y in zip(a, b, strict=True)]))


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the BT.601 luma of ``(..., 3)`` RGB in [0, 255] as values in [16, 235], not rounded.

    Equal to MATLAB's ``rgb2ycbcr`` on floating-point images.
    """
    return rgb @ _LUMA + _LUMA_OFFSET


def _planes(rgb: NDArray[np.uint8], colour: Literal["rgb", "y"]) -> NDArray[np.float64]:
    if colour == "y":
        return luma(rgb)[None]
    return np.moveaxis(rgb.astype(np.float64), -1, 0)


def _shave(image: NDArray[np.uint8], border: int) -> NDArray[np.uint8]:
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def _ssim_plane(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    mean_a, mean_b = _blur(a), _blur(b)
    product = mean_a * mean_b
    power = mean_a**2 + mean_b**2
    variances = _blur(a * a + b * b) - power
    covariance = _blur(a * b) - product
    similarity = (2 * product + _C1) * (2 * covariance + _C2)  # eq. 13
    return float(np.mean(similarity / ((power + _C1) * (variances + _C2))))


def _blur(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filter with the Gaussian window where it lies wholly inside ``plane``."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    window /= window.sum()
    rows = plane.shape[0] - _WINDOW + 1
    columns = plane.shape[1] - _WINDOW + 1
    high = sum(weight * plane[k : k + rows] for k, weight in enumerate(window))
    wide = sum(weight * high[:, k : k + columns] for k, weight in enumerate(window))
    return np.asarray(wide, dtype=np.float64)


def _check(sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> None:
    if sr.shape != hr.shape or sr.ndim != _RGB_AXES or sr.shape[-1] != _RGB_AXES:
        raise DataError(f"cannot compare shapes {sr.shape} and {hr.shape}; want equal (h, w, 3)")
    if sr.dtype != np.uint8 or hr.dtype != np.uint8:
        raise DataError(f"cannot compare {sr.dtype} with {hr.dtype}; round both to uint8 first")
