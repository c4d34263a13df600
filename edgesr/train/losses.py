"""Losses on RGB in [0, 255], float32: pixel errors, and the distance of Fourier amplitudes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from edgesr.train.config import TrainConfig

Loss = Callable[[Tensor, Tensor], Tensor]
_EPSILON = 0.255


def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """Smooth L1 of every value, ``sqrt(d**2 + eps**2)`` with eps = 1e-3 of the range.

    Source: Lai et al. 2017, arXiv 1704.03915, eq. 1.
    """
    return torch.sqrt((sr - hr) ** 2 + _EPSILON**2)  # eq. 1


def loss_at(config: TrainConfig, step: int) -> Loss:
    """Return the mean loss of ``step`` (from 0): another one at the end of a run."""
    error, gain = _error_at(config, step), chroma_gain_at(config, step)
    if gain == 1:
        return lambda sr, hr: error(sr, hr).mean()

    def stretched(sr: Tensor, hr: Tensor) -> Tensor:
        difference = with_chroma_gain(sr - hr, gain)
        return error(difference, torch.zeros_like(difference)).mean()

    return stretched


def with_chroma_gain(difference: Tensor, gain: float) -> Tensor:
    """Return ``(n, 3, h, w)`` with what differs between its channels times ``gain``."""
    mean = difference.mean(1, keepdim=True)
    return mean + gain * (difference - mean)


def chroma_gain_at(config: TrainConfig, step: int) -> float:
    """Return the gain of ``step`` (from 0): it falls to 1, where the loss is that of RGB."""
    return 1 + (config.chroma_gain - 1) * (1 - step / config.steps)


def image_losses_at(config: TrainConfig, step: int) -> Loss:
    """Return the loss of ``step`` as one mean for each image, ``(n,)``."""
    error = _error_at(config, step)
    return lambda sr, hr: error(sr, hr).mean(dim=(1, 2, 3))


def frequency_losses(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean distance of Fourier amplitudes of each image, ``(n,)``.

    Images fade out towards their borders first, or the jump from one border to the other would
    count as detail. Phases do not count: it is a term beside a pixel loss, never alone.

    Args:
        sr: ``(n, 3, h, w)`` in grey levels.
        hr: of the same shape.

    Source: Fuoli et al. 2021, arXiv 2106.00783, the amplitude part of its Fourier-space loss; with
    the orthonormal transform, so that its size does not grow with that of the image.
    """
    return (_amplitudes(sr) - _amplitudes(hr)).abs().mean(dim=(1, 2, 3))


def frequency_weight_at(config: TrainConfig, step: int) -> float:
    """Return the weight of the Fourier amplitudes at ``step`` (from 0) of a one-pass network."""
    return config.final_frequency_weight if _is_final(config, step) else config.frequency_weight


def is_squared_at(config: TrainConfig, step: int) -> bool:
    """Tell whether the loss of ``step`` (from 0) is in squared grey levels."""
    return (config.final_loss if _is_final(config, step) else config.loss) == "l2"


def weighted_sum(config: TrainConfig, parts: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of named losses, each times its ``<name>_weight`` of ``config``."""
    weights: list[float] = [getattr(config, f"{name}_weight") for name in parts]
    weighted = [weight * part for weight, part in zip(weights, parts.values(), strict=True)]
    return torch.stack(weighted).sum()


def _amplitudes(image: Tensor) -> Tensor:
    rows, columns = (
        torch.hann_window(side, periodic=False, device=image.device) for side in image.shape[2:]
    )
    found: Tensor = torch.fft.rfft2(image * torch.outer(rows, columns), norm="ortho").abs()
    return found


def _error_at(config: TrainConfig, step: int) -> Loss:
    return ERRORS[config.final_loss if _is_final(config, step) else config.loss]


def _is_final(config: TrainConfig, step: int) -> bool:
    return step >= config.steps - config.final_loss_steps


def _l1(sr: Tensor, hr: Tensor) -> Tensor:
    return functional.l1_loss(sr, hr, reduction="none")


def _l2(sr: Tensor, hr: Tensor) -> Tensor:
    return functional.mse_loss(sr, hr, reduction="none")


ERRORS: Mapping[str, Loss] = MappingProxyType({"l1": _l1, "charbonnier": charbonnier, "l2": _l2})
