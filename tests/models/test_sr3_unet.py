"""The UNet of SR3 has the published counts."""

import pytest
import torch

from edgesr.bench.cost_torch import torch_complexity
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.models.sr3_unet import sr3


def parameters(network: Denoiser) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def unet() -> Denoiser:
    with torch.device("meta"):
        return build_denoiser("sr3", 4)


def test_parameters_are_those_that_bi_diffsr_publishes(unet: Denoiser) -> None:
    """Chen et al. 2024, arXiv 2406.05723, table 2: SR3 (full precision), 55.41 M."""
    assert round(parameters(unet) / 1e6, 2) == 55.41


def test_operations_are_those_that_bi_diffsr_publishes(unet: Denoiser) -> None:
    """The same table: 176.41 G for a result of 256 x 256, group norms counted at 5 an element."""
    core = fold_timestep(unet, 1).core
    cost = torch_complexity(core, shape=(256, 256), channels=6)
    assert cost.macs == 175_829_417_984
    assert cost.fvcore_flops / 1e9 == pytest.approx(176.41, abs=0.02)


def test_parameters_with_five_levels_are_those_of_the_public_16_to_128_configuration() -> None:
    """A public re-implementation's setup for 16 to 128 is said to have these; not seen there."""
    with torch.device("meta"):
        network = sr3(8, multipliers=(1, 2, 4, 8, 8), attention=(3,))
    assert parameters(network) == 97_807_491


def test_attention_mixes_every_pixel_with_every_other() -> None:
    torch.manual_seed(0)
    network = sr3(2, width=16, multipliers=(1, 2), blocks=1).eval()
    x_t = torch.randn(1, 3, 32, 32, requires_grad=True)
    network(x_t, torch.tensor([0.7]), torch.zeros(1, 3, 16, 16))[0, :, 0, 0].sum().backward()
    assert x_t.grad is not None
    assert float(x_t.grad[0, :, -1, -1].abs().sum()) > 0
