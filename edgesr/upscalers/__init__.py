"""Everything that turns a low-resolution image into a large one, behind one protocol."""

from edgesr.upscalers.load import load_upscaler
from edgesr.upscalers.protocol import (
    MultiStep,
    Upscaler,
    network_evaluations,
    upscale_image,
)

__all__ = ["MultiStep", "Upscaler", "load_upscaler", "network_evaluations", "upscale_image"]
