"""Training images in the memory of the device that trains, and patches cut there."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.data.cache import DecodedImages
from edgesr.data.patches import SYMMETRIES, PatchSampler, dihedral
from edgesr.train.config import TrainConfig

_LARGEST_SHARE = 0.5
_CHANNELS = 3


class ResidentPatches:
    """Cuts the batches of a ``PatchSampler``, value for value, on ``device``.

    All pixels lie behind each other in two tensors; a batch is one gather from each, so that
    nothing but 16 bytes a patch goes to the device at a step. Only for the bicubic degradation,
    whose low-resolution images are there beforehand.

    Args:
        sampler: says where patches are cut.
        device: that holds the images; they take ``size_of`` bytes there.
    """

    def __init__(self, sampler: PatchSampler, device: torch.device) -> None:
        images = sampler.images
        self._sampler, self._device = sampler, device
        self._lr = _Pixels(images.lr, device)
        self._hr = _Pixels(images.hr, device)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return LR and HR of ``step``, uint8 ``(n, h, w, 3)`` RGB on the device."""
        sampler = self._sampler
        rows = [(p.index, p.top, p.left, p.symmetry) for p in sampler.places(step)]
        places = torch.tensor(rows, dtype=torch.int32)
        if self._device.type == "cuda":
            places = places.pin_memory()
        places = places.to(self._device, non_blocking=True).long()
        side, scale = sampler.side_at(step), sampler.images.scale
        return self._lr.cut(places, side, 1), self._hr.cut(places, side * scale, scale)


class _Pixels:
    """Pixels of images behind each other, and where each image begins."""

    def __init__(self, images: Sequence[NDArray[np.uint8]], device: torch.device) -> None:
        counts = [image.shape[0] * image.shape[1] for image in images]
        self._flat = torch.empty((sum(counts), _CHANNELS), dtype=torch.uint8, device=device)
        starts = np.cumsum([0, *counts[:-1]])
        for start, count, image in zip(starts.tolist(), counts, images, strict=True):
            whole = np.ascontiguousarray(image).reshape(count, _CHANNELS)
            self._flat[start : start + count] = torch.from_numpy(whole.copy())
        self._starts = torch.from_numpy(starts).to(device)
        self._widths = torch.tensor([image.shape[1] for image in images], device=device)
        self._turns: dict[int, tuple[Tensor, Tensor]] = {}

    def cut(self, places: Tensor, side: int, scale: int) -> Tensor:
        """Return patches of ``side`` pixels at ``places``, which are in units of ``scale``."""
        index, top, left, symmetry = places.unbind(1)
        rows, columns = self._turned(side)
        width = self._widths[index]
        first = self._starts[index] + top * scale * width + left * scale
        at = first[:, None, None] + rows[symmetry] * width[:, None, None] + columns[symmetry]
        return self._flat[at]

    def _turned(self, side: int) -> tuple[Tensor, Tensor]:
        """Return for each symmetry the row and column that a pixel of the patch comes from."""
        if side not in self._turns:
            plain = np.arange(side**2).reshape(side, side)
            turned = np.stack([dihedral(plain, one) for one in range(SYMMETRIES)])
            rows, columns = (torch.from_numpy(one) for one in np.divmod(turned, side))
            self._turns[side] = (rows.to(self._flat.device), columns.to(self._flat.device))
        return self._turns[side]


def size_of(images: DecodedImages) -> int:
    """Return the bytes that ``images`` take in memory."""
    return sum(image.nbytes for image in (*images.lr, *images.hr))


def resident_patches(
    config: TrainConfig, sampler: PatchSampler, device: torch.device
) -> tuple[ResidentPatches | None, str | None]:
    """Return what cuts patches on ``device``, and what the user should know about it.

    Args:
        config: settings; with ``resident = "auto"`` images go to a GPU when they fit into half of
            its free memory.
        sampler: of this process.
        device: that trains.

    Returns:
        None for patches that are cut from the images on disk, and None where that is expected.
    """
    on_gpu = device.type == "cuda"
    if config.resident == "off" or (config.resident == "auto" and not on_gpu):
        return None, None
    size = size_of(sampler.images)
    if config.degradation != "bicubic":
        return None, f"patches are cut on the CPU: {config.degradation} draws every one anew"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else 0
    if config.resident == "auto" and size > _LARGEST_SHARE * free:
        return None, (
            f"patches are cut on the CPU, which is slower: the images take {size / 1e9:.1f} GB, "
            f"more than half of {free / 1e9:.1f} GB of free GPU memory; --num-workers helps, "
            "--resident on insists"
        )
    place = "GPU" if on_gpu else "training process"
    return ResidentPatches(sampler, device), (
        f"{size / 1e9:.2f} GB of images are in the memory of the {place}"
    )
