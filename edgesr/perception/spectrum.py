"""The energy of fine detail: what averaging and blurring take away, whatever PSNR says.

Planes are freed of their mean and faded out to their border by a Hann window, so that the border
makes no spectrum of its own; then ``power = |FFT|^2 / sum(window^2)``, in squared grey levels,
whose mean over all frequencies is the (weighted) variance of the plane. Frequencies are in cycles a
pixel: 0.5 is the finest, ``0.5 / scale`` the finest that a low-resolution image can hold. What lies
above is what super-resolution adds.
"""

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.perception.windows import Plane

NYQUIST = 0.5
_RINGS = 64
"""Of equal width, from 0 to ``NYQUIST``."""
_ROUNDING = 1 / 12
"""Power of rounding to 8 bits; below it there is nothing to compare."""
SMALLEST_SIDE = 16


def high_frequency_ratio(sr: Plane, hr: Plane, *, cutoff: float) -> float:
    """Return the energy of ``sr`` above ``cutoff`` over that of ``hr``.

    1 is right, below 1 is blurred, above 1 has detail or noise that was not there. It compares
    amounts of energy alone, not where it lies: read it beside PSNR.

    Args:
        sr: ``(h, w)`` luma.
        hr: the same of the original.
        cutoff: cycles a pixel, above 0 and below 0.5; the corners above 0.5 count as well.

    Raises:
        DataError: the cutoff is out of range, a side is under 16 pixels, or ``hr`` has no energy
            above the cutoff.
    """
    radius = _checked_radius(hr, cutoff)
    above = radius >= cutoff
    wanted = float(power_spectrum(hr)[above].sum())
    if wanted < _ROUNDING:
        raise DataError(
            f"the original has no detail above {cutoff:.3g} cycles a pixel, so that of the result "
            "cannot be compared; leave the image out"
        )
    return float(power_spectrum(sr)[above].sum()) / wanted


def spectrum_distance_db(sr: Plane, hr: Plane, *, cutoff: float) -> float:
    """Return the distance in dB of the radial power spectra from ``cutoff`` to 0.5; 0 when equal.

    The plane of frequencies is cut into 64 rings of equal width up to 0.5 cycles a pixel;
    ``d(ring) = 10 log10((P_sr + 1/12) / (P_hr + 1/12))`` compares the mean powers of a ring, with
    the power of 8-bit rounding added; the result is the root of the mean of ``d^2`` over the rings
    whose inner edge is at ``cutoff`` or above.

    Args:
        sr: ``(h, w)`` luma.
        hr: the same of the original.
        cutoff: cycles a pixel, above 0 and below 0.5.

    Raises:
        DataError: the cutoff is out of range, or a side is under 16 pixels.
    """
    _checked_radius(hr, cutoff)
    edges, of_sr = radial_power(sr)
    _, of_hr = radial_power(hr)
    fine = edges >= cutoff - 1e-12
    decibels = 10 * np.log10((of_sr[fine] + _ROUNDING) / (of_hr[fine] + _ROUNDING))
    return float(np.sqrt(np.mean(np.square(decibels))))


def radial_power(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inner edges in cycles a pixel and mean powers of the rings that hold a frequency."""
    radius = _radius(plane.shape)
    ring = np.floor(radius / NYQUIST * _RINGS).astype(np.intp).ravel()
    inside = ring < _RINGS
    power = power_spectrum(plane).ravel()
    count = np.bincount(ring[inside], minlength=_RINGS)
    total = np.bincount(ring[inside], weights=power[inside], minlength=_RINGS)
    held = count > 0
    edges = np.arange(_RINGS, dtype=np.float64) * (NYQUIST / _RINGS)
    return edges[held], np.asarray(total[held] / count[held], dtype=np.float64)


def power_spectrum(plane: Plane) -> NDArray[np.float64]:
    """Return the power of ``(h, w)`` at every frequency, ``(h, w)`` in the order of the FFT."""
    height, width = plane.shape
    window = _hann(height)[:, None] * _hann(width)[None, :]
    faded = (plane - plane.mean()) * window
    power = np.abs(np.fft.fft2(faded)) ** 2 / np.square(window).sum()
    return np.asarray(power, dtype=np.float64)


def _hann(length: int) -> NDArray[np.float64]:
    """Return a window that is zero half a pixel outside the border."""
    return np.asarray(np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2)


def _radius(shape: tuple[int, ...]) -> NDArray[np.float64]:
    height, width = shape
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    return np.asarray(radius, dtype=np.float64)


def _checked_radius(hr: Plane, cutoff: float) -> NDArray[np.float64]:
    if not 0 < cutoff < NYQUIST:
        raise DataError(f"cutoff is {cutoff} cycles a pixel, want above 0 and below {NYQUIST}")
    if min(hr.shape) < SMALLEST_SIDE:
        height, width = hr.shape
        raise DataError(
            f"a spectrum wants at least {SMALLEST_SIDE} pixels a side, came {width}x{height}"
        )
    return _radius(hr.shape)
