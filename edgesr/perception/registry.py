"""The metrics beside PSNR and SSIM, by name.

All compare uint8 RGB images with ``scale`` pixels cut off at each border. Those of ``PERCEPTUAL``
look at the BT.601 luma, not rounded, as protocol ``classic-y`` does, and need no weights; those of
``LEARNED`` look at RGB through trained networks that the user has to install.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.metrics import luma
from edgesr.perception.gmsd import gmsd
from edgesr.perception.learned import RgbDistance, load_dists, load_lpips
from edgesr.perception.ms_ssim import ms_ssim
from edgesr.perception.spectrum import NYQUIST, high_frequency_ratio, spectrum_distance_db
from edgesr.perception.vif import vif
from edgesr.perception.windows import Plane

Better = Literal["higher", "lower", "near 1"]
ImageMetric = Callable[[NDArray[np.uint8], NDArray[np.uint8], int], float]
"""``(sr, hr, scale) -> value`` of ``(h, w, 3)`` RGB uint8 images with their borders."""
_RGB_AXES = 3


@dataclass(frozen=True, kw_only=True)
class PerceptualMetric:
    """A metric that needs no weights.

    Attributes:
        title: heading for tables.
        better: which values are better.
        measure: ``(sr, hr, scale) -> value`` of luma planes without border.
    """

    title: str
    better: Better
    measure: Callable[[Plane, Plane, int], float]


@dataclass(frozen=True, kw_only=True)
class LearnedMetric:
    """A metric by a trained network that edgesr does not ship.

    Attributes:
        title: heading for tables.
        better: which values are better.
        load: returns it, or says what has to be installed.
    """

    title: str
    better: Better
    load: Callable[[], RgbDistance]


PERCEPTUAL: Mapping[str, PerceptualMetric] = MappingProxyType(
    {
        "ms_ssim": PerceptualMetric(
            title="MS-SSIM", better="higher", measure=lambda sr, hr, _: ms_ssim(sr, hr)
        ),
        "vif": PerceptualMetric(
            title="VIF", better="higher", measure=lambda sr, hr, _: vif(sr, hr)
        ),
        "gmsd": PerceptualMetric(
            title="GMSD", better="lower", measure=lambda sr, hr, _: gmsd(sr, hr)
        ),
        "spectrum_distance_db": PerceptualMetric(
            title="spectrum dB",
            better="lower",
            measure=lambda sr, hr, scale: spectrum_distance_db(sr, hr, cutoff=NYQUIST / scale),
        ),
        "high_frequency_ratio": PerceptualMetric(
            title="HF ratio",
            better="near 1",
            measure=lambda sr, hr, scale: high_frequency_ratio(sr, hr, cutoff=NYQUIST / scale),
        ),
    }
)
LEARNED: Mapping[str, LearnedMetric] = MappingProxyType(
    {
        "lpips": LearnedMetric(title="LPIPS", better="lower", load=load_lpips),
        "dists": LearnedMetric(title="DISTS", better="lower", load=load_dists),
    }
)


def load_metrics(names: Sequence[str]) -> dict[str, ImageMetric]:
    """Return the metrics of ``names``, ready to measure.

    They raise ``DataError`` for images of other shapes or types, or too small for them.

    Raises:
        DataError: an unknown name.
        MissingDependencyError: a metric's package or weights are not there.
    """
    unknown = [name for name in names if name not in PERCEPTUAL and name not in LEARNED]
    if unknown:
        known = ", ".join([*PERCEPTUAL, *LEARNED])
        raise DataError(f"metric {unknown[0]!r} is unknown; choose from {known}")
    return {
        name: _on_rgb(LEARNED[name].load()) if name in LEARNED else _on_luma(PERCEPTUAL[name])
        for name in names
    }


def _on_luma(metric: PerceptualMetric) -> ImageMetric:
    def measure(sr: NDArray[np.uint8], hr: NDArray[np.uint8], scale: int) -> float:
        sr, hr = _inside(sr, hr, scale)
        return metric.measure(luma(sr), luma(hr), scale)

    return measure


def _on_rgb(distance: RgbDistance) -> ImageMetric:
    def measure(sr: NDArray[np.uint8], hr: NDArray[np.uint8], scale: int) -> float:
        return distance(*_inside(sr, hr, scale))

    return measure


def _inside(
    sr: NDArray[np.uint8], hr: NDArray[np.uint8], border: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Check both images and cut ``border`` pixels off at each side."""
    if sr.shape != hr.shape or sr.ndim != _RGB_AXES or sr.shape[-1] != _RGB_AXES:
        raise DataError(f"cannot compare shapes {sr.shape} and {hr.shape}; want equal (h, w, 3)")
    if sr.dtype != np.uint8 or hr.dtype != np.uint8:
        raise DataError(f"cannot compare {sr.dtype} with {hr.dtype}; round both to uint8 first")
    height, width = hr.shape[:2]
    kept = slice(border, height - border), slice(border, width - border)
    return sr[kept], hr[kept]
