"""Validation on held-out images during training."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from edgesr.data.cache import DecodedImages
from edgesr.errors import DivergenceError
from edgesr.metrics import measure
from edgesr.train.batches import to_float

VALIDATION_PROTOCOL = "mai"
PSNR_KEY = f"psnr_{VALIDATION_PROTOCOL}"
LARGEST_FALL = 6.0
"""In dB, of a run that starts from nothing; less is the noise of learning."""


def check_progress(psnr: float, best: float, step: int, *, largest_fall: float) -> None:
    """Stop a run whose validation PSNR has fallen far below its best.

    The loss need not tell: codes of a quantized network saturate, and a denoiser whose ReLUs have
    died still makes smooth images.

    Args:
        psnr: of now, in dB.
        best: so far.
        step: for the message.
        largest_fall: in dB.

    Raises:
        DivergenceError: it has.
    """
    if not psnr > best - largest_fall:
        raise DivergenceError(
            f"training diverged: validation PSNR is {psnr:.2f} dB at step {step} after "
            f"{best:.2f}; the last good checkpoint is kept, start again with a lower "
            "--learning-rate (or --scale-rate-factor), or with --grad-clip"
        )


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
