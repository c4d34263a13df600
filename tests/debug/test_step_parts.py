"""One part of a denoiser's integers rounded at a time."""

from dataclasses import replace

import pytest
import torch

from edgesr.debug.step_parts import PARTS, PartlyRounded
from edgesr.diffusion.integer_steps import IntegerNetwork, QuantizedDenoiser, quantize_denoiser
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.schedules import resshift
from edgesr.diffusion.trajectories import all_steps
from edgesr.models.denoiser_files import LoadedDenoiser, load_denoiser
from edgesr.quant.recipe import UNPROTECTED
from tests.export.stepwise_case import save_restless

PLAIN = replace(UNPROTECTED, observer="minmax")
LR = from_grey_levels((torch.arange(3 * 16 * 16) * 37 % 256).float().view(1, 3, 16, 16))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedDenoiser:
    return load_denoiser(save_restless(tmp_path_factory.mktemp("float") / "px.safetensors"))


@pytest.fixture(scope="module")
def denoiser(loaded: LoadedDenoiser) -> QuantizedDenoiser:
    path = resshift(num_steps=2)
    return quantize_denoiser(
        loaded, path, all_steps(loaded.module, path, path, [LR]), PLAIN, groups=1
    )


def test_errors_of_the_parts_about_add_up_and_none_is_nothing(
    loaded: LoadedDenoiser, denoiser: QuantizedDenoiser
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 32, 32, generator=generator) * 1.8 - 0.9
    told = torch.tensor([2])
    with torch.no_grad():
        wanted = loaded.module(x, told, LR)
    inside = (..., slice(6, -6), slice(6, -6))  # half a grey level is missing in the border
    error = {
        part: float(
            (PartlyRounded(denoiser.model, part)(x, told, LR) - wanted)[inside].square().mean()
        )
        for part in PARTS
    }
    whole = IntegerNetwork(denoiser.model)(x, told, LR)
    total = float((whole - wanted)[inside].square().mean())
    assert all(one > 0 for one in error.values())
    assert 0.5 * total < sum(error.values()) < 2.0 * total
