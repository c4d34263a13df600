from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.path import Path, respace
from edgesr.diffusion.prediction import Prediction
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.schedules import resshift
from edgesr.models.denoiser_files import LoadedDenoiser, Schedule
from edgesr.models.denoisers import DENOISERS
from edgesr.models.resshift_px import resshift_px
from edgesr.models.time_embedding import FiLM


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


@pytest.fixture(scope="module")
def tiny_whole() -> Path:
    """The path that ``tiny`` would have been trained on."""
    return resshift(kappa=0.4, num_steps=6)


@pytest.fixture(scope="module")
def tiny_path(tiny_whole: Path) -> Path:
    """Three of its steps."""
    return respace(tiny_whole, [2, 4, 6])


@pytest.fixture(scope="module")
def tiny() -> LoadedDenoiser:
    """A denoiser that nobody trained, whose layers depend on the timestep."""
    torch.manual_seed(0)
    module = resshift_px(2, widths=(8, 12), blocks=1).eval()
    with torch.no_grad():
        for layer in module.core.modules():
            if isinstance(layer, FiLM):
                layer.project.weight.normal_(0.0, 0.3)
                layer.project.bias.normal_(0.0, 0.2)
        module.core.get_parameter("head.weight").normal_(0.0, 0.02)
    return LoadedDenoiser(
        module=module,
        descriptor=DENOISERS["resshift_px_s"],
        scale=2,
        schedule=Schedule(name="resshift", parameters={"kappa": 0.4, "num_steps": 6}),
        prediction=module.prediction,
        metadata={},
        path=FilePath("tiny.safetensors"),
    )


@pytest.fixture(scope="module")
def tiny_lrs() -> list[Tensor]:
    """Four smooth images of 20x16 pixels in [-1, 1], in two batches."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(4, 3, 7, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (20, 16), mode="bicubic")
    images = from_grey_levels((128 + 50 * smooth).round().clamp(0, 255))
    return [images[:3], images[3:]]
