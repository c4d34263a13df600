"""The integer simulation against LiteRT's interpreter: not one value differs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import DataError, GraphError
from edgesr.export.tflite import write_int8
from edgesr.graph.capture import capture
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.passes import lower
from edgesr.images import read_image
from edgesr.imresize import downscale, modcrop
from edgesr.litert import open_model
from edgesr.models import build_model
from edgesr.quant import simulate as simulation
from edgesr.quant.calibrate import CalibrationBatch, calibrate
from edgesr.quant.ptq import PtqResult, quantize_graph
from edgesr.quant.recipe import OURS, PtqRecipe
from edgesr.quant.scheme import GREY_LEVELS, QuantizedGraph
from edgesr.quant.simulate import simulate

Photo = Callable[..., NDArray[np.uint8]]
PLAIN = ("ncnet", "abpn")


def realistic(module: nn.Module) -> nn.Module:
    """Give fresh weights biases and a residual of the size that training leads to."""
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.ndim == 1:
                nn.init.uniform_(value, -3.0, 3.0)
            elif name == "body.12.weight":
                value.mul_(20.0)
    return module.eval()


def quantized(
    module: nn.Module, photo: Photo, recipe: PtqRecipe = OURS, *, channels: int = 3
) -> PtqResult:
    crops = np.stack([photo(48, 48, seed) for seed in range(4)])
    batch = CalibrationBatch(inputs=torch.from_numpy(crops).float())
    graph = lower(capture(module, name="net", channels=channels))
    return quantize_graph(graph, [batch], recipe)


def codes(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy((image.astype(np.int16) - 128).astype(np.int8))[None]


def mismatches(graph: QuantizedGraph, image: NDArray[np.uint8]) -> int:
    wanted = open_model(write_int8(graph)).run(codes(image).numpy())
    return int(np.count_nonzero(simulate(graph, codes(image)).numpy() != wanted))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", PLAIN)
def test_every_scale_is_bit_exact_with_xnnpack(name: str, scale: int, photo: Photo) -> None:
    torch.manual_seed(scale)
    result = quantized(realistic(build_model(name, scale)), photo)
    for seed, size in enumerate([(83, 120), (96, 64), (17, 201)]):
        assert mismatches(result.quantized, photo(*size, seed=10 + seed)) == 0
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    assert mismatches(result.quantized, noise) == 0


@pytest.mark.parametrize("name", PLAIN)
def test_photographs_of_bsd100_are_bit_exact(name: str, shared_data: Path, photo: Photo) -> None:
    torch.manual_seed(0)
    result = quantized(realistic(build_model(name, 3)), photo)
    paths = sorted((shared_data / "eval" / "BSD100").iterdir())[:10]
    assert len(paths) == 10
    for path in paths:
        image = downscale(modcrop(read_image(path), 3), 3)
        assert mismatches(result.quantized, image) == 0


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


def test_every_operation_is_bit_exact_with_xnnpack(photo: Photo) -> None:
    torch.manual_seed(0)
    result = quantized(Mixed(), photo)
    assert mismatches(result.quantized, photo(64, 82, seed=5)) == 0


def test_sums_beyond_float32_are_still_exact(photo: Photo) -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(
        nn.Conv2d(3, 160, 3, padding=1), nn.ReLU(), nn.Conv2d(160, 12, 3, padding=1)
    )
    module = nn.Sequential(wide, nn.PixelShuffle(2))
    with torch.no_grad():
        wide[2].weight.abs_()  # type: ignore[operator]
    result = quantized(module, photo, PtqRecipe(equalize=False))
    weight = result.quantized.weights["0.2"]
    worst = np.abs(weight.values.astype(np.int64)).sum(axis=(1, 2, 3)).max() * 255
    assert worst > simulation.FLOAT32_EXACT
    assert mismatches(result.quantized, photo(40, 40, seed=3)) == 0


def test_the_output_is_close_to_the_float_network(photo: Photo) -> None:
    torch.manual_seed(0)
    module = realistic(build_model("ncnet", 3))
    result = quantized(module, photo)
    image = photo(96, 96, seed=9)
    found = simulate(result.quantized, codes(image)).double() + 128
    with torch.no_grad():
        wanted = module(torch.from_numpy(image)[None].permute(0, 3, 1, 2).float())
    error = found - wanted.permute(0, 2, 3, 1)
    assert 10 * np.log10(255**2 / float(error.square().mean())) > 57.0
    assert error.mean(dim=(0, 1, 2)).abs().max() < 0.1


def test_input_and_output_are_grey_levels_and_the_clip_is_gone(photo: Photo) -> None:
    result = quantized(realistic(build_model("ncnet", 3)), photo).quantized
    for name in ("lr", "sr", "add", "anchor"):
        assert result.qparams[name] == GREY_LEVELS
    assert set(result.weights["anchor"].scales) == {np.float32(1.0)}
    assert "Clip" not in {type(op).__name__ for op in result.graph.ops}


@pytest.mark.parametrize("name", PLAIN)
def test_grey_images_map_to_themselves_when_the_residual_is_zero(name: str) -> None:
    module = build_model(name, 3)
    nn.init.zeros_(module.get_parameter("body.12.weight"))
    graph = lower(capture(module, name=name))
    levels = torch.arange(256.0).reshape(256, 1, 1, 1).expand(256, 8, 8, 3)
    result = quantize_graph(graph, [CalibrationBatch(inputs=levels)])
    flat = (levels - 128).to(torch.int8)
    wanted = flat.repeat_interleave(3, dim=1).repeat_interleave(3, dim=2)
    assert torch.equal(simulate(result.quantized, flat), wanted)
    assert mismatches(result.quantized, np.arange(192, dtype=np.uint8).reshape(8, 8, 3)) == 0


def test_a_residual_far_below_a_grey_level_is_bit_exact(photo: Photo) -> None:
    module = build_model("ncnet", 3)
    with torch.no_grad():
        module.get_parameter("body.12.weight").mul_(1e-4)
    result = quantized(module, photo)
    assert mismatches(result.quantized, photo(30, 40)) == 0


def test_bias_correction_takes_the_mean_error_away(photo: Photo) -> None:
    torch.manual_seed(1)
    result = quantized(realistic(build_model("abpn", 3)), photo)
    assert set(result.bias_corrections) == {f"body.{index}" for index in range(0, 14, 2)}
    crops = np.stack([photo(48, 48, seed) for seed in range(4)])
    images = torch.from_numpy(crops).float()
    found = simulate(result.quantized, (images - 128).to(torch.int8)).double() + 128
    bias = (found - execute(result.quantized.graph, images).clamp(0, 255)).mean(dim=(0, 1, 2))
    assert bias.abs().max() < 0.05


def test_a_clip_inside_the_network_is_refused_by_name() -> None:
    def graph() -> Graph:
        class Clipped(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first = nn.Conv2d(3, 3, 3, padding=1)
                self.second = nn.Conv2d(3, 3, 3, padding=1)

            def forward(self, lr: Tensor) -> Tensor:
                return self.second(self.first(lr).clamp(-1, 1))  # type: ignore[no-any-return]

        return lower(capture(Clipped(), name="net"))

    batch = CalibrationBatch(inputs=torch.rand(1, 8, 8, 3) * 255)
    with pytest.raises(GraphError, match=r"layer clamp: clip to \[-1.0, 1.0\] inside"):
        quantize_graph(graph(), [batch])


def test_calibration_without_images_or_with_an_unknown_observer_is_refused() -> None:
    graph = lower(capture(build_model("ncnet", 2), name="ncnet"))
    with pytest.raises(DataError, match="calibration got no image"):
        calibrate(graph, [])
    with pytest.raises(DataError, match="observer 'mean' is unknown"):
        calibrate(graph, [], observer="mean")


def test_a_network_with_nan_is_refused() -> None:
    module = build_model("ncnet", 2)
    nn.init.constant_(module.get_parameter("body.0.bias"), float("nan"))
    graph = lower(capture(module, name="ncnet"))
    with pytest.raises(GraphError, match="want finite ones"):
        calibrate(graph, [CalibrationBatch(inputs=torch.zeros(1, 8, 8, 3))])


def test_an_unknown_kernel_family_is_refused(photo: Photo) -> None:
    result = quantized(build_model("ncnet", 2), photo).quantized
    with pytest.raises(DataError, match="kernels 'npu' cannot be simulated"):
        simulate(result, codes(photo(8, 8)), kernels="npu")


def test_scales_are_written_as_float32_without_change(photo: Photo) -> None:
    result = quantized(build_model("ncnet", 2), photo).quantized
    assert all(isinstance(grid.scale, np.float32) for grid in result.qparams.values())
    assert replace(result).weights["body.0"].scales.dtype == np.float32
