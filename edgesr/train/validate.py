"""Validation on held-out images during training."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from edgesr.data.cache import DecodedImages
from edgesr.metrics import measure
from edgesr.train.batches import to_float

VALIDATION_PROTOCOL = "mai"
PSNR_KEY = f"psnr_{VALIDATION_PROTOCOL}"


@torch.no_grad()
def validation_psnr(
    network: Callable[[Tensor], Tensor], held_out: DecodedImages, device: torch.device
) -> float:
    """Return the mean PSNR in dB over ``held_out`` by protocol ``mai`` (RGB, uint8, no border)."""
    scores = []
    for lr, hr in zip(held_out.lr, held_out.hr, strict=True):
        sr = network(to_float(torch.from_numpy(np.array(lr))[None], device))[0]
        levels = sr.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        score = measure(levels, np.asarray(hr), scale=held_out.scale, protocol=VALIDATION_PROTOCOL)
        scores.append(score.psnr)
    return float(np.mean(scores))
