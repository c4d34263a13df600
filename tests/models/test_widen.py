"""A wider network is the same function, and every network that can be widened is."""

import copy

import pytest
import torch

from edgesr.errors import GraphError
from edgesr.models import MODELS, build_model
from edgesr.models.widen import widen

REFUSED = {"xlsr", "etds_t", "etds_s", "etds_m", "etds_l"}
"""As docs/zoo.md says."""


@pytest.mark.parametrize("name", sorted({*MODELS} - REFUSED))
def test_a_wider_network_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, 3).train()
    before = copy.deepcopy(network.state_dict())
    wide = widen(network, 2, seed=0)
    lr = 255 * torch.rand(1, 3, 9, 10)
    with torch.no_grad():
        torch.testing.assert_close(wide(lr), network(lr), rtol=1e-5, atol=2e-3)
    torch.testing.assert_close(dict(network.state_dict()), dict(before), rtol=0, atol=0)


def test_hidden_layers_have_so_many_times_the_channels_and_the_seed_decides_the_parts() -> None:
    network = build_model("edge_s", 2)
    first, again, other = (widen(network, 3, seed=seed) for seed in (0, 0, 1))
    shapes = [tuple(one.shape[:2]) for one in first.parameters() if one.ndim == 4]
    narrow = [tuple(one.shape[:2]) for one in network.parameters() if one.ndim == 4]
    assert shapes[0] == (3 * narrow[0][0], 3)
    assert shapes[1] == tuple(3 * side for side in narrow[1])
    assert shapes[-1] == (narrow[-1][0], 3 * narrow[-1][1])
    hidden = [one.get_submodule("body.2").get_parameter("weight") for one in (first, again, other)]
    assert torch.equal(hidden[0], hidden[1])
    assert not torch.equal(hidden[0], hidden[2])


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_network_of_another_kind_is_refused(name: str) -> None:
    with pytest.raises(GraphError, match="want"):
        widen(build_model(name, 3), 2, seed=0)


def test_a_training_form_is_refused() -> None:
    with pytest.raises(GraphError, match="is a BranchedConv, which is not widened"):
        widen(build_model("edge_s", 2, "training"), 2, seed=0)
