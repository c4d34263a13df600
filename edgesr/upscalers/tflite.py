"""A .tflite file as an upscaler: uint8, int8 or float32 input and output, any or one fixed size."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import CheckpointError
from edgesr.litert import open_model
from edgesr.upscalers.protocol import upscale_image
from edgesr.upscalers.reach import tflite_reach


class TfliteUpscaler:
    """Runs a .tflite file with LiteRT.

    A file of one fixed size runs larger images by windows of that size, all inside the image, so
    the result is that of a file without a fixed size.

    Args:
        path: the file.
        scale: upscaling factor that is expected of it; None takes the file's.
        threads: CPU threads; None takes all that this process may use.
        name: what results call it; None takes the path.

    Raises:
        CheckpointError: the file is missing, damaged, of another kind or of another scale.
        MissingDependencyError: no LiteRT is installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        scale: int | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> None:
        self._model = open_model(path, threads=threads or usable_cpus())
        if scale is not None and scale != self._model.scale:
            raise CheckpointError(
                f"{path}: upscales x{self._model.scale}, but x{scale} was asked for; "
                "drop --scale or choose another file"
            )
        self.name = name or str(path)
        self.scale = self._model.scale
        self.window = self._model.fixed_shape
        self.halo = tflite_reach(path)

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``.

        Raises:
            DataError: the image is smaller than a file of fixed size accepts.
        """
        if self.window is not None and lr.shape[:2] != self.window:
            return upscale_image(self, lr)
        return self._model.upscale(lr)


def usable_cpus() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
