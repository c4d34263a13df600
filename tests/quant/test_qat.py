"""Quantization-aware training computes the integers of the file, from the first step on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import GraphError
from edgesr.export.tflite import write_int8
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.litert import open_model
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.qat import QatNetwork, scale_groups
from edgesr.quant.scheme import GREY_LEVELS, QuantizedGraph
from edgesr.quant.simulate import simulate

Photo = Callable[..., NDArray[np.uint8]]


class Mixed(nn.Module):
    """Every operation that has an int8 form."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.down = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(16, 8, 1)
        self.tail = nn.Conv2d(8, 12, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        first = functional.relu6(self.head(lr) * 0.05)
        spatial = self.depthwise(first)
        small = functional.interpolate(torch.relu(self.down(first)), scale_factor=2)
        joined = torch.cat([spatial, small], dim=1)
        mixed = torch.relu(self.mix(joined) + first)
        return functional.pixel_shuffle(self.tail(mixed) * 8 + 128, 2).clamp(0, 255)


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "mixed":
        return Mixed().eval()
    module = build_model(name, 3)
    for parameter in module.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, -3.0, 3.0)
    with torch.no_grad():
        module.get_parameter("body.12.weight").mul_(20.0)
    return module.eval()


def quantized(module: nn.Module, photo: Photo) -> QuantizedGraph:
    crops = np.stack([photo(48, 48, seed) for seed in range(4)])
    batch = CalibrationBatch(inputs=torch.from_numpy(crops).float())
    return quantize_graph(lower(capture(module, name="net")), [batch]).quantized


def simulated(graph: QuantizedGraph, lr: Tensor) -> Tensor:
    codes = simulate(graph, (lr.permute(0, 2, 3, 1) - 128).to(torch.int8))
    return codes.permute(0, 3, 1, 2).float() + 128


def images(photo: Photo, count: int = 3) -> Tensor:
    stack = np.stack([photo(50, 66, 20 + seed) for seed in range(count)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float()


def trained(start: QuantizedGraph, photo: Photo, steps: int = 6) -> QatNetwork:
    """Move everything a good way from where it started."""
    net = QatNetwork(start)
    found = net.groups_of_parameters()
    rates = {"weights": 2e-3, "biases": 0.05, "scales": 0.03}
    groups = [{"params": some, "lr": rates[kind]} for kind, some in found.items()]
    optimizer = torch.optim.Adam(groups)
    lr = images(photo)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(lr) - 90).abs().mean().backward()
        optimizer.step()
    return net.eval()


@pytest.mark.parametrize("name", ["ncnet", "abpn", "mixed"])
def test_the_start_is_the_post_training_quantization(name: str, photo: Photo) -> None:
    start = quantized(network(name), photo)
    net = QatNetwork(start).eval()
    lr = images(photo)
    assert torch.equal(net(lr), simulated(start, lr))
    again = net.to_quantized()
    assert again.qparams == start.qparams
    assert write_int8(again) == write_int8(start)


@pytest.mark.parametrize("name", ["ncnet", "abpn", "mixed"])
def test_after_training_the_forward_pass_is_the_file(name: str, photo: Photo) -> None:
    start = quantized(network(name), photo)
    net = trained(start, photo)
    lr = images(photo)
    found, now = net(lr).detach(), net.to_quantized()
    assert (found != simulated(start, lr)).any()
    share = (found == simulated(now, lr)).float().mean()
    assert share > 0.9999
    content = write_int8(now)
    image = (lr[:1].permute(0, 2, 3, 1) - 128).to(torch.int8)
    assert np.array_equal(open_model(content).run(image.numpy()), simulate(now, image).numpy())


def test_training_sees_the_output_before_its_rounding(photo: Photo) -> None:
    net = QatNetwork(quantized(network("ncnet"), photo))
    lr = images(photo)
    smooth, rounded = net.train()(lr), net.eval()(lr)
    assert (smooth != smooth.round()).any()
    assert (smooth - rounded).abs().max() <= 0.5 + 1e-3
    assert smooth.min() >= 0
    assert smooth.max() <= 255


def test_scales_of_tied_tensors_stay_one_and_fixed_ones_stay(photo: Photo) -> None:
    start = quantized(network("mixed"), photo)
    groups = scale_groups(start)
    now = trained(start, photo).to_quantized()
    concat = next(op for op in start.graph.ops if type(op).__name__ == "Concatenation")
    for name in concat.inputs:
        assert groups[name] == groups[concat.output]
        assert now.qparams[name] == now.qparams[concat.output]
    moved = {name for name in groups if now.qparams[name].scale != start.qparams[name].scale}
    assert moved >= {concat.output, *concat.inputs}
    for name in ("lr", "sr"):
        assert now.qparams[name] == GREY_LEVELS


def test_a_residual_stays_on_the_step_of_the_output(photo: Photo) -> None:
    start = quantized(network("ncnet"), photo)
    assert start.qparams["body.12"].scale == 1.0
    now = trained(start, photo).to_quantized()
    for name in ("lr", "anchor", "body.12", "add", "sr"):
        assert now.qparams[name] == start.qparams[name]
    assert now.qparams["body.0"].scale != start.qparams["body.0"].scale
    assert np.array_equal(now.weights["anchor"].values, start.weights["anchor"].values)


def test_one_quantizer_a_tensor_and_none_before_an_activation(photo: Photo) -> None:
    start = quantized(network("abpn"), photo)
    net = QatNetwork(start)
    assert set(net.group_of) == set(start.qparams)
    # six hidden tensors behind their ReLU; everything else is tied to the images
    assert sum(net.learned) == 6


def test_every_trained_number_gets_a_gradient(photo: Photo) -> None:
    net = QatNetwork(quantized(network("ncnet"), photo))
    net(images(photo)).square().mean().backward()
    for kind, some in net.groups_of_parameters().items():
        for parameter in some:
            assert parameter.grad is not None, kind
            assert torch.isfinite(parameter.grad).all()
            assert parameter.grad.abs().sum() > 0, kind


def test_maximum_scales_follow_the_weights(photo: Photo) -> None:
    net = QatNetwork(quantized(network("ncnet"), photo), weight_scales="max")
    layer = net.layer("body.4")
    with torch.no_grad():
        layer.weight[3] *= 2.0
    net.follow_maxima()
    now = net.to_quantized().weights["body.4"]
    assert np.abs(now.values).max(axis=(1, 2, 3)).min() == 127
    wanted = np.abs(layer.weight.detach().numpy()).max(axis=(1, 2, 3)) / 127
    np.testing.assert_allclose(now.scales, wanted, rtol=1e-5)
    assert not any(p is layer.gain for p in net.groups_of_parameters()["scales"])


def test_a_dead_channel_survives(photo: Photo) -> None:
    module = network("ncnet")
    with torch.no_grad():
        module.get_parameter("body.4.weight")[2] = 0.0
        module.get_parameter("body.4.bias")[2] = -1.0
    start = quantized(module, photo)
    net = trained(start, photo)
    net.follow_maxima()
    now = net.to_quantized().weights["body.4"]
    assert np.isfinite(now.scales).all()
    assert now.scales.min() > 0
    maxima = QatNetwork(start, weight_scales="max")
    maxima.follow_maxima()
    assert np.isfinite(maxima.to_quantized().weights["body.4"].scales).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_scale_that_is_no_scale_is_named(bad: float, photo: Photo) -> None:
    start = quantized(network("ncnet"), photo)
    weight = start.weights["body.6"]
    scales = weight.scales.copy()
    scales[1] = bad
    weights = {**start.weights, "body.6": replace(weight, scales=scales)}
    with pytest.raises(GraphError, match=r"layer body\.6: weight scale is"):
        QatNetwork(replace(start, weights=weights))


@pytest.mark.parametrize("kind", ["weights", "biases", "scales"])
def test_numbers_that_are_not_finite_are_not_handed_on(kind: str, photo: Photo) -> None:
    net = QatNetwork(quantized(network("ncnet"), photo))
    with torch.no_grad():
        net.groups_of_parameters()[kind][0].fill_(torch.nan)
    with pytest.raises(GraphError, match=r"nan|NaN"):
        net.to_quantized()
