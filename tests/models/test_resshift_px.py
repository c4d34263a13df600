"""The small denoiser has the planned sizes and starts at the centre."""

import pytest
import torch
from torch import nn

from edgesr.models.denoisers import DENOISERS, build_denoiser

PLANNED = {"resshift_px_s": 0.29e6, "resshift_px_m": 1.78e6, "resshift_px_l": 4.89e6}


@pytest.mark.parametrize("name", PLANNED)
def test_parameters_at_x4_are_the_planned_ones_within_two_percent(name: str) -> None:
    assert abs(DENOISERS[name].params[4] / PLANNED[name] - 1) < 0.02


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", [*PLANNED, "resshift_px_naf"])
def test_a_fresh_network_predicts_the_centre_exactly(name: str, scale: int) -> None:
    network = build_denoiser(name, scale).eval()
    x_t, lr = torch.randn(1, 3, 6 * scale, 6 * scale), torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        residual = network(x_t, torch.tensor([2.5]), lr)
    assert not residual.any()


@pytest.mark.parametrize("name", PLANNED)
def test_features_keep_their_size_through_a_fresh_network(name: str) -> None:
    """Without norms nothing else holds a deep network's values in range."""
    torch.manual_seed(0)
    network = build_denoiser(name, 4).eval()
    seen: list[float] = []
    head = network.core.get_submodule("head")
    head.register_forward_hook(lambda _, inputs, __: seen.append(float(inputs[0].std())))
    with torch.no_grad():
        network(torch.randn(2, 3, 128, 128), torch.tensor([1, 2]), torch.randn(2, 3, 32, 32))
    assert 0.2 < seen[0] < 5


def test_no_layer_normalises_and_every_activation_is_relu() -> None:
    allowed = (nn.Conv2d, nn.Linear, nn.PixelShuffle)
    leaves = [m for m in build_denoiser("resshift_px_l", 4).core.modules() if not [*m.children()]]
    assert {type(leaf) for leaf in leaves} <= set(allowed)
