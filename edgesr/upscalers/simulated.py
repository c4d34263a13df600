"""A quantized checkpoint as an upscaler: the integer simulation of it."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.errors import CheckpointError
from edgesr.models.quantized import load_exportable
from edgesr.quant.image import upscale_simulated
from edgesr.quant.scheme import scheme_label


class SimulatedUpscaler:
    """Runs the integers of a quantized checkpoint as XNNPACK would.

    With 8 bits the result is that of the exported file, value for value. Narrower schemes have no
    kernels, and their name says that they are simulated.

    Args:
        path: ``.safetensors`` with integers, or the run folder that holds it.
        model: network, checked against the file's.
        scale: upscaling factor, checked against the file's.
        threads: CPU threads of the whole process; None leaves PyTorch's choice.

    Raises:
        CheckpointError: the file is missing, damaged, holds no integers, or is of another network
            or scale.
    """

    window: tuple[int, int] | None = None

    def __init__(
        self,
        path: Path,
        *,
        model: str | None = None,
        scale: int | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        loaded, quantized = load_exportable(path, model=model, scale=scale)
        if quantized is None:
            raise CheckpointError(f"{path}: holds no integers; quantize it with edgesr quantize")
        self.name = f"{path} ({scheme_label(quantized.scheme)})"
        self.scale = loaded.scale
        self.halo: int | None = loaded.descriptor.receptive_field // 2
        self._quantized = quantized

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``."""
        return upscale_simulated(self._quantized, lr)
