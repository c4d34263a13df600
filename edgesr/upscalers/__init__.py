"""Everything that turns a low-resolution image into a large one, behind one protocol."""

from edgesr.upscalers.load import load_upscaler
from edgesr.upscalers.protocol import Upscaler, upscale_image

__all__ = ["Upscaler", "load_upscaler", "upscale_image"]
