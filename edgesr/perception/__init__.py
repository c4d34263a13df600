"""How an image looks beside PSNR and SSIM: metrics that see blur, and diversity over seeds."""

from edgesr.perception.registry import (
    LEARNED,
    PERCEPTUAL,
    Better,
    ImageMetric,
    LearnedMetric,
    PerceptualMetric,
    load_metrics,
)

__all__ = [
    "LEARNED",
    "PERCEPTUAL",
    "Better",
    "ImageMetric",
    "LearnedMetric",
    "PerceptualMetric",
    "load_metrics",
]
