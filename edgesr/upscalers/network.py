"""A trained PyTorch network as an upscaler."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.errors import DataError
from edgesr.models.checkpoint import load_model


class TorchUpscaler:
    """Runs a checkpoint in float32 on the CPU; results are rounded half to even.

    Args:
        path: ``.safetensors``, ``.pth`` or a run folder.
        model: network, where the file does not name it.
        scale: upscaling factor, where the file does not name it; checked where it does.
        threads: CPU threads of the whole process; None leaves PyTorch's choice.

    Raises:
        CheckpointError: the file is missing, damaged, of another network or of another scale.
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
        loaded = load_model(path, model=model, scale=scale)
        self.name = str(path)
        self.scale = loaded.scale
        self.halo: int | None = loaded.descriptor.receptive_field // 2
        self._module = loaded.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map ``(h, w, 3)`` RGB uint8 to ``(h * scale, w * scale, 3)``.

        Raises:
            DataError: the output is not a number.
        """
        batch = torch.from_numpy(np.ascontiguousarray(lr)).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            sr = self._module(batch)[0].round().clamp(0, 255)
        if not torch.isfinite(sr).all():
            raise DataError(f"{self.name}: its output holds NaN; the weights are damaged")
        result: NDArray[np.uint8] = sr.permute(1, 2, 0).contiguous().to(torch.uint8).numpy()
        return result
