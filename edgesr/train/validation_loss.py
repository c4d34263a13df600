"""The loss of a denoiser on held-out images: far steadier than the PSNR of what it samples."""

import numpy as np
import torch

from edgesr.data.cache import DecodedImages
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.train.batches import to_float
from edgesr.train.denoising import HALF_RANGE, example_of, generator_of
from edgesr.train.losses import ERRORS

LOSS_KEY = "validation_loss"

_STREAM = 2
_LONGEST_SIDE = 96
_MOST_STATES = 16


@torch.no_grad()
def validation_loss(
    denoiser: ConditionedDenoiser, held_out: DecodedImages, device: torch.device, *, loss: str
) -> float:
    """Return the mean loss over images and states in grey levels, squared for ``l2``.

    Noise and states are fixed: the middle of each image, up to 96x96 low-resolution pixels, at
    every state of the path, or at 16 of a longer one.

    Args:
        denoiser: with the whole path that it was trained on.
        held_out: images.
        device: where the network is.
        loss: a name in ``ERRORS``.
    """
    path, scale = denoiser.path, held_out.scale
    count = min(_MOST_STATES, path.num_steps)
    states = np.linspace(1, path.num_steps, count).round().astype(int).tolist()
    losses = []
    for index, (lr, hr) in enumerate(zip(held_out.lr, held_out.hr, strict=True)):
        box = [_middle(side) for side in lr.shape[:2]]
        wide = [slice(scale * side.start, scale * side.stop) for side in box]
        small, large = (
            from_grey_levels(to_float(torch.from_numpy(np.array(image))[None], device))
            for image in (lr[box[0], box[1]], hr[wide[0], wide[1]])
        )
        centre = denoiser.centre(small)
        for state in states:
            random = generator_of(state, index, 0, _STREAM)
            shown = example_of(
                path,
                torch.tensor([state]),
                large,
                noise=torch.randn(large.shape, generator=random).to(device),
                kind=denoiser.prediction,
                centre=centre,
            )
            found = denoiser(shown.x, torch.tensor([state]), small)
            losses.append(ERRORS[loss](found * HALF_RANGE, shown.target * HALF_RANGE).mean())
    return float(torch.stack(losses).mean())


def _middle(side: int) -> slice:
    first = max(0, side - _LONGEST_SIDE) // 2
    return slice(first, first + min(side, _LONGEST_SIDE))
