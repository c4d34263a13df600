"""From uint8 patches to network input."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from edgesr.data.patches import PatchSampler


class BatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Maps a step number to its batch; any worker process can serve any step."""

    def __init__(self, sampler: PatchSampler) -> None:
        self.sampler = sampler

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return LR and HR, uint8 ``(n, h, w, 3)``."""
        lr, hr = self.sampler.batch(step)
        return torch.from_numpy(lr), torch.from_numpy(hr)


def to_float(images: Tensor, device: torch.device) -> Tensor:
    """Turn uint8 ``(n, h, w, 3)`` into float32 ``(n, 3, h, w)`` in [0, 255], channels last."""
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).float()
