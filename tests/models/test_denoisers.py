"""Every denoiser is what its descriptor says."""

import pytest
import torch
from torch import nn

from edgesr.bench.cost_torch import torch_complexity
from edgesr.errors import ConfigError
from edgesr.models import MODELS
from edgesr.models.bidiffsr import bidiffsr
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.models.sr3_unet import sr3

EVERY = [(name, scale) for name, about in DENOISERS.items() for scale in about.scales]
LARGE = ("sr3", "bidiffsr", "bidiffsr_edge")
SMALL = [name for name in DENOISERS if name not in LARGE]


def randomised(module: nn.Module) -> None:
    """Give what starts at zero a value, so that every path carries something."""
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)


def small(name: str, scale: int) -> Denoiser:
    """A large UNet takes too long for a quick test; one of its kind stands for it."""
    if name == "sr3":
        return sr3(scale, width=16, multipliers=(1, 2, 2, 2), blocks=1)
    if name in LARGE:
        attention = name == "bidiffsr"
        return bidiffsr(scale, width=8, norm_groups=4, blocks=1, attention=attention)
    return build_denoiser(name, scale)


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_trainable_parameters_are_as_described(name: str, scale: int) -> None:
    with torch.device("meta"):
        network = build_denoiser(name, scale)
    count = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert count == DENOISERS[name].params[scale]
    assert network.prediction == DENOISERS[name].prediction
    assert network.scale == scale


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_the_prediction_has_the_size_of_the_result(name: str, scale: int) -> None:
    torch.manual_seed(0)
    network = small(name, scale).eval()
    assert network.conditioning.multiple == DENOISERS[name].multiple
    for height, width in ((8, 8), (9, 7)):
        x_t = torch.randn(2, 3, height * scale, width * scale)
        with torch.no_grad():
            found = network(x_t, torch.tensor([1, 3]), torch.rand(2, 3, height, width))
        assert found.shape == x_t.shape


@pytest.mark.parametrize("name", DENOISERS)
def test_every_image_of_a_batch_has_its_own_timestep(name: str) -> None:
    torch.manual_seed(0)
    network = small(name, 2).eval()
    randomised(network)
    x_t, lr = torch.randn(1, 3, 16, 16), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        both = network(x_t.expand(2, -1, -1, -1), torch.tensor([0, 3]), lr.expand(2, -1, -1, -1))
        alone = network(x_t, torch.tensor([3]), lr)
    assert (both[1:] - alone).abs().max() <= 1e-5
    assert (both[0] - both[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", DENOISERS)
def test_training_from_the_start_moves_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network = small(name, 2)
    before = {key: value.clone() for key, value in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    x_t, lr = torch.randn(2, 3, 16, 16), torch.rand(2, 3, 8, 8)
    for _ in range(5):  # what starts at zero holds back the gradient of what is behind it
        loss = (network(x_t, torch.tensor([1, 2]), lr) - x_t).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = dict(network.named_parameters())
    kept = [key for key, value in before.items() if torch.equal(after[key], value)]
    assert kept == []


@pytest.mark.parametrize("name", [name for name, about in DENOISERS.items() if about.int8])
def test_receptive_field_is_as_described_and_costs_are_linear_in_pixels(name: str) -> None:
    folded = fold_timestep(build_denoiser(name, 4), 1)
    channels = folded.conditioning.channels
    costs = [
        torch_complexity(folded.core, shape=shape, channels=channels)
        for shape in ((32, 32), (64, 96))
    ]
    assert costs[1].receptive_field == DENOISERS[name].receptive_field
    assert costs[1].macs == 6 * costs[0].macs
    assert costs[1].warnings == ()


def test_names_are_keys_and_not_those_of_the_regression_networks() -> None:
    assert [about.name for about in DENOISERS.values()] == list(DENOISERS)
    assert set(DENOISERS) & set(MODELS) == set()


def test_unknown_denoiser_and_scale_name_the_choices() -> None:
    with pytest.raises(ConfigError, match="'unet' is unknown; choose one of resshift_px_s"):
        build_denoiser("unet", 4)
    with pytest.raises(ConfigError, match="no scale 8; choose one of 2, 3, 4"):
        build_denoiser("resshift_px_s", 8)
