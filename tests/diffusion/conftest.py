from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.path import Path
from edgesr.diffusion.prediction import Prediction


@dataclass(frozen=True, kw_only=True)
class GaussianDenoiser:
    """The exact denoiser of images whose pixels are centre + N(mean, variance)."""

    path: Path
    mean: float = 0.0
    variance: float = 0.25
    centre: float = 0.0
    prediction: Prediction = "eps"

    def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor, /) -> Tensor:
        assert condition.shape[0] == x.shape[0] == timestep.shape[0]
        state = int(np.flatnonzero(self.path.timesteps == int(timestep[0]))[0])
        a, s = float(self.path.signal[state]), float(self.path.noise[state])
        away = x - self.centre
        gain = a * self.variance / (a**2 * self.variance + s**2)
        residual = self.mean + gain * (away - a * self.mean)
        eps = (away - a * residual) / s
        values = {
            "x0": residual + self.centre,
            "residual": residual,
            "eps": eps,
            "v": a * eps - s * residual,
        }
        return values[self.prediction]


@pytest.fixture
def gaussian() -> Callable[..., GaussianDenoiser]:
    return GaussianDenoiser


@pytest.fixture
def images() -> Callable[..., Tensor]:
    """Float64 images in [-1, 1], the same for the same number."""

    def make(number: int, shape: tuple[int, ...] = (2, 3, 5, 7)) -> Tensor:
        generator = torch.Generator().manual_seed(number)
        return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1

    return make
