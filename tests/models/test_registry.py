import pytest
import torch
from torch.nn.functional import interpolate

from edgesr.errors import ConfigError
from edgesr.models import MODELS, build_model

EVERY = [(name, scale) for name, about in MODELS.items() for scale in about.scales]


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_trainable_parameters_are_as_described(name: str, scale: int) -> None:
    network = build_model(name, scale)
    count = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert count == MODELS[name].params[scale]


def test_published_parameter_counts_at_x3() -> None:
    assert MODELS["ncnet"].params[3] == 52_279
    assert MODELS["abpn"].params[3] == 42_539


def test_frozen_parameters_of_ncnet_are_the_81_of_the_nearest_convolution() -> None:
    state = build_model("ncnet", 3).state_dict()
    assert sum(value.numel() for value in state.values()) == 52_279 + 81


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_without_detail_the_network_is_nearest_upsampling(
    name: str, scale: int, *, training: bool
) -> None:
    network = build_model(name, scale).train(training)
    for parameter in network.parameters():
        parameter.data.zero_()
    lr = torch.randint(0, 256, (2, 3, 9, 7)).float()
    assert torch.equal(network(lr), interpolate(lr, scale_factor=scale, mode="nearest"))


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_receptive_field_is_as_described(name: str, scale: int) -> None:
    network = build_model(name, scale).eval()
    lr = torch.full((1, 3, 41, 41), 128.0, requires_grad=True)
    for parameter in network.parameters():
        parameter.data.abs_()  # no dead path
    body = network.get_submodule("body")
    sr = body(lr)
    sr[0, :, 20, 20].sum().backward()
    assert lr.grad is not None
    seen = lr.grad[0].abs().sum(0) > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == MODELS[name].receptive_field


def test_output_is_clipped_in_evaluation_only() -> None:
    network = build_model("ncnet", 2)
    torch.nn.init.constant_(network.get_parameter("body.12.bias"), 1000.0)
    lr = torch.zeros(1, 3, 4, 4)
    assert float(network.eval()(lr).detach().max()) == 255.0
    assert float(network.train()(lr).detach().max()) > 255.0


def test_unknown_model_and_scale_name_the_choices() -> None:
    with pytest.raises(ConfigError, match="'unet' is unknown; choose one of ncnet, abpn"):
        build_model("unet", 3)
    with pytest.raises(ConfigError, match="no scale 5; choose one of 2, 3, 4"):
        build_model("ncnet", 5)
