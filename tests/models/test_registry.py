import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from edgesr.errors import ConfigError
from edgesr.models import MODELS, build_model
from edgesr.models.blocks import NearestConv, RepeatAnchor

EVERY = [(name, scale) for name, about in MODELS.items() for scale in about.scales]
FORMS = [("deploy", name) for name in MODELS] + [
    ("training", name) for name, about in MODELS.items() if about.has_training_form
]
STARTS_NEAREST = ("pureconv_m3c32", "etds_t", "quicksrnet_s", "quicksrnet_l", "edge_s", "ncnet")


def anchored(name: str) -> bool:
    anchor = getattr(build_model(name, 3), "anchor", None)
    return isinstance(anchor, (NearestConv, RepeatAnchor))


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_trainable_parameters_are_as_described(name: str, scale: int) -> None:
    network = build_model(name, scale)
    count = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert count == MODELS[name].params[scale]


def test_names_are_keys() -> None:
    assert [about.name for about in MODELS.values()] == list(MODELS)


def test_frozen_parameters_of_ncnet_are_the_81_of_the_nearest_convolution() -> None:
    state = build_model("ncnet", 3).state_dict()
    assert sum(value.numel() for value in state.values()) == 52_279 + 81


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [name for name in MODELS if anchored(name)])
def test_without_detail_an_anchored_network_is_nearest_upsampling(
    name: str, *, training: bool
) -> None:
    for scale in MODELS[name].scales:
        network = build_model(name, scale).train(training)
        for parameter in network.parameters():
            parameter.data.zero_()
        lr = torch.randint(0, 256, (2, 3, 9, 7)).float()
        assert torch.equal(network(lr), interpolate(lr, scale_factor=scale, mode="nearest"))


@pytest.mark.parametrize("form", ["deploy", "training"])
@pytest.mark.parametrize("name", STARTS_NEAREST)
def test_a_fresh_network_is_nearly_nearest_upsampling(name: str, form: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, 3, "deploy" if form == "deploy" else "training").train()
    lr = 64 + 128 * torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        error = network(lr) - interpolate(lr, scale_factor=3, mode="nearest")
    assert float(error.square().mean().sqrt()) < 40.0


@pytest.mark.parametrize("name", MODELS)
def test_receptive_field_is_as_described(name: str) -> None:
    network = build_model(name, 2).double().train()
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            # positive and small: no dead path, nothing saturates
            positive = part.weight.data.abs() + 1e-3
            part.weight.data = 0.5 * positive / positive.sum((1, 2, 3), keepdim=True)
            part.bias = None
    lr = torch.full((1, 3, 41, 41), 128.0, dtype=torch.float64, requires_grad=True)
    network(lr)[0, :, 40:42, 40:42].sum().backward()
    assert lr.grad is not None
    seen = lr.grad[0].abs().sum(0) > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == MODELS[name].receptive_field


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_an_image_is_enlarged_and_clipped_in_evaluation_only(form: str, name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, 2, "deploy" if form == "deploy" else "training")
    lr = 255 * torch.rand(1, 3, 8, 10)
    for key, parameter in network.named_parameters():
        if parameter.ndim == 1 and not key.startswith("clip"):
            parameter.data.uniform_(-600, 600)
    with torch.no_grad():
        clipped, free = network.eval()(lr), network.train()(lr)
    assert clipped.shape == free.shape == (1, 3, 16, 20)
    assert torch.allclose(clipped, free.clamp(0, 255), atol=0.05)
    assert not torch.allclose(clipped, free, atol=1.0)


def test_unknown_model_scale_and_form_name_the_choices() -> None:
    with pytest.raises(ConfigError, match="'unet' is unknown; choose one of ncnet, abpn"):
        build_model("unet", 3)
    with pytest.raises(ConfigError, match="no scale 5; choose one of 2, 3, 4"):
        build_model("ncnet", 5)
    with pytest.raises(ConfigError, match="'xlsr' has no training form with branches"):
        build_model("xlsr", 3, "training")
