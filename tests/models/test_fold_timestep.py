"""With its timestep folded in a denoiser is a plain network that edgesr quantizes and writes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgesr.errors import GraphError
from edgesr.export.tflite import write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Add, Conv2D, DepthToSpace, Pad
from edgesr.graph.passes import lower
from edgesr.litert import run_once
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.models.fold_timestep import FoldedDenoiser, fold_timestep
from edgesr.models.resshift_px import resshift_px
from edgesr.models.sr3_unet import sr3
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.recipe import OURS
from edgesr.quant.simulate import simulate

INT8 = [
    *((name, 4) for name, about in DENOISERS.items() if about.int8),
    ("resshift_px_s", 2),
    ("resshift_px_s", 3),
]
TIMESTEPS = (0, 1, 3, 14, 0.37)


def trained(network: Denoiser) -> Denoiser:
    """Stand in for training: nothing is zero, and scales differ from 1."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network.eval()


def images(scale: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(scale)
    x_t = torch.randn(2, 3, scale * height, scale * width, generator=generator)
    return x_t.clamp(-1, 1), 2 * torch.rand(2, 3, height, width, generator=generator) - 1


def assert_folds(network: Denoiser) -> None:
    x_t, lr = images(network.scale, 9, 13)
    results = []
    for timestep in TIMESTEPS:
        folded = fold_timestep(network, timestep)
        with torch.no_grad():
            wanted = network(x_t, torch.full((2,), float(timestep)), lr)
            found = folded(x_t, lr)
        assert (found - wanted).abs().max() <= 1e-5
        results.append(found)
    assert (results[0] - results[2]).abs().max() > 1e-3  # the timestep does matter


@pytest.mark.parametrize(("name", "scale"), [*INT8, ("resshift_px_naf", 3)])
def test_the_folded_network_is_the_network_at_that_timestep(name: str, scale: int) -> None:
    torch.manual_seed(scale)
    assert_folds(trained(build_denoiser(name, scale)))


def test_a_unet_of_sr3_folds_as_well() -> None:
    torch.manual_seed(0)
    assert_folds(trained(sr3(2, width=16, multipliers=(1, 2, 2), blocks=1, attention=(1,))))


def test_nothing_of_the_timestep_is_left_and_the_denoiser_stays_as_it_is() -> None:
    torch.manual_seed(0)
    network = trained(build_denoiser("resshift_px_s", 4))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold_timestep(network, 2)
    assert not [key for key in folded.state_dict() if "film" in key or "time" in key]
    for key, value in network.state_dict().items():
        assert torch.equal(before[key], value)


def core_graph(folded: FoldedDenoiser) -> Graph:
    return lower(capture(folded.core, name="denoiser", channels=folded.conditioning.channels))


@pytest.mark.parametrize(("name", "scale"), INT8)
def test_the_core_lowers_to_int8_operations_and_computes_the_same(name: str, scale: int) -> None:
    torch.manual_seed(scale)
    folded = fold_timestep(trained(build_denoiser(name, scale)), 2)
    graph = core_graph(folded)
    assert {type(op) for op in graph.ops} == {Conv2D, Add, DepthToSpace, Pad}
    joined = folded.conditioning(*images(scale, 12, 8), None)
    with torch.no_grad():
        wanted = folded.core(joined)
    found = execute(graph, joined.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert (found - wanted).abs().max() <= 1e-5


def test_a_float_file_of_the_core_computes_the_same_in_litert() -> None:
    torch.manual_seed(0)
    folded = fold_timestep(trained(resshift_px(2, widths=(8, 16), blocks=1)), 1)
    joined = folded.conditioning(*images(2, 12, 8), None)[:1]
    with torch.no_grad():
        wanted = folded.core(joined).permute(0, 2, 3, 1).numpy()
    content = write_float32(core_graph(folded), shape=(12, 8))
    found = run_once(content, [joined.permute(0, 2, 3, 1).contiguous().numpy()], kernels="xnnpack")
    assert np.abs(found - wanted).max() <= 1e-5


def test_an_int8_file_of_the_core_is_simulated_exactly_and_near_the_float_one() -> None:
    torch.manual_seed(0)
    folded = fold_timestep(trained(resshift_px(2, widths=(8, 16), blocks=1)), 1)
    graph = core_graph(folded)
    joined = folded.conditioning(*images(2, 16, 16), None).permute(0, 2, 3, 1).contiguous()
    recipe = replace(OURS, fixed_ends=False)
    quantized = quantize_graph(graph, [CalibrationBatch(inputs=joined, timestep=1)], recipe)
    first, last = (quantized.quantized.qparams[name] for name in ("lr", "sr"))
    codes = (joined / float(first.scale)).round() + first.zero_point
    codes = codes.clamp(-128, 127).to(torch.int8)[:1]
    simulated = simulate(quantized.quantized, codes)
    content = write_int8(quantized.quantized, shape=(16, 16))
    assert np.array_equal(run_once(content, [codes.numpy()], kernels="xnnpack"), simulated.numpy())
    wanted = execute(graph, joined[:1])
    found = (simulated.float() - last.zero_point) * float(last.scale)
    assert float((found - wanted).std()) < 0.05 * float(wanted.std())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            resshift_px(2, widths=(8, 16), blocks=1, naf=True),
            r"layer encoder\.0\.0\.norm.*: operation permute is not supported",
        ),
        (
            sr3(2, width=16, multipliers=(1, 2), blocks=1),
            r"layer encoder\.0\.norm: operation group_norm is not supported",
        ),
    ],
)
def test_float_only_networks_are_refused_by_layer(network: Denoiser, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        core_graph(fold_timestep(network, 1))
