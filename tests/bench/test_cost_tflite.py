"""The counter of files against the counter of modules."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn

from edgesr.bench.cost import Complexity, complexity
from edgesr.errors import CheckpointError, ConfigError, DataError
from edgesr.export.flatbuffer import ModelBuilder
from edgesr.export.inspect import read_content
from edgesr.export.tflite import write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph

SHAPE = (36, 44)


def export(
    path: Path, network: nn.Module, kind: str = "int8", shape: tuple[int, int] | None = None
) -> Path:
    graph = lower(capture(network, name="network"))
    if kind == "float32":
        path.write_bytes(write_float32(graph, shape=shape))
        return path
    images = torch.randint(0, 256, (1, 24, 24, 3)).float()
    quantized = quantize_graph(graph, [CalibrationBatch(inputs=images)]).quantized
    path.write_bytes(write_int8(quantized, shape=shape))
    return path


@pytest.fixture(params=["ncnet", "abpn", "sesr_m3", "quicksrnet_s", "edge_s"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Complexity, Complexity]:
    network = build_model(request.param, 3)
    path = export(tmp_path / "model.tflite", network)
    return complexity(path, shape=SHAPE), complexity(network, shape=SHAPE)


def test_a_file_costs_what_its_network_costs(pair: tuple[Complexity, Complexity]) -> None:
    file, network = pair
    assert (file.kind, network.kind) == ("tflite", "torch")
    assert file.macs == network.macs == file.fvcore_flops
    assert file.params == network.params
    assert file.frozen_params == network.frozen_params
    assert file.activations == network.all_activations
    assert file.convs == network.all_convs
    assert file.receptive_field == network.receptive_field
    assert file.scale == network.scale == 3
    assert file.peak_memory_int8_mib == network.peak_memory_int8_mib
    assert file.peak_memory_mib == file.peak_memory_int8_mib


def test_the_tools_count_differs_by_the_functional_nearest_convolution_only(
    pair: tuple[Complexity, Complexity],
) -> None:
    file, network = pair
    hidden = network.frozen_params * SHAPE[0] * SHAPE[1]
    assert file.ntire22_flops - network.ntire22_flops == hidden


def test_published_counts_at_full_hd(tmp_path: Path) -> None:
    for name, wanted in (("ncnet", 12.014), ("abpn", 9.756)):
        path = export(tmp_path / f"{name}.tflite", build_model(name, 3))
        assert round(complexity(path, shape=(360, 640)).macs / 1e9, 3) == wanted


def test_a_float32_file_needs_four_times_the_memory(tmp_path: Path) -> None:
    path = export(tmp_path / "model.tflite", build_model("abpn", 2), "float32")
    found = complexity(path, shape=SHAPE)
    assert found.peak_memory_mib == found.peak_memory_float32_mib
    assert found.peak_memory_mib == 4 * found.peak_memory_int8_mib
    assert found.stored_bytes == path.stat().st_size


def test_a_file_of_one_size_is_counted_at_that_size(tmp_path: Path) -> None:
    path = export(tmp_path / "model.tflite", build_model("ncnet", 2), shape=SHAPE)
    assert complexity(path).shape == SHAPE
    with pytest.raises(DataError, match="image is 24x24, want 36x44"):
        complexity(path, shape=(24, 24))


def test_depthwise_convolutions_are_counted(tmp_path: Path) -> None:
    class Separable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 12, 3, padding=1)
            self.deep = nn.Conv2d(12, 12, 3, padding=1, groups=12)
            self.shuffle = nn.PixelShuffle(2)

        def forward(self, lr: Tensor) -> Tensor:
            made: Tensor = self.shuffle(self.deep(self.wide(lr).relu()))
            return made

    network = Separable()
    path = export(tmp_path / "model.tflite", network)
    assert "DEPTHWISE_CONV_2D" in read_content(path.read_bytes()).operators
    file, module = complexity(path, shape=SHAPE), complexity(network, shape=SHAPE)
    assert file.macs == module.macs == SHAPE[0] * SHAPE[1] * (3 * 12 * 9 + 12 * 9)
    assert file.params == module.params
    assert file.operators["DEPTHWISE_CONV_2D"].calls == 1


def build_file(path: Path, ops: list[tuple[int, str, object]]) -> Path:
    """Write a float32 file that enlarges 8x8 to 16x16 by its first operator."""
    builder = ModelBuilder(name="network", description="test")
    image = builder.tensor("lr", (1, 8, 8, 3), np.float32)
    size = builder.tensor("size", (4,), np.int32, data=np.array([1, 16, 16, 3], np.int32))
    sides = builder.tensor("sides", (2,), np.int32, data=np.array([16, 16], np.int32))
    weight = builder.tensor(
        "weight", (3, 2, 2, 3), np.float32, data=np.ones((3, 2, 2, 3), np.float32)
    )
    inputs = {
        schema.BuiltinOperator.TRANSPOSE_CONV: [size, weight, image],
        schema.BuiltinOperator.RESIZE_BILINEAR: [image, sides],
    }
    before = image
    for code, name, options in ops:
        after = builder.tensor(name, (1, 16, 16, 3), np.float32)
        tagged = (getattr(schema.BuiltinOptions, name), options) if options else None
        builder.operator(code, inputs.get(code, [before]), after, options=tagged)
        before = after
    path.write_bytes(builder.finish({"lr": image}, {"sr": before}, {}))
    return path


def test_transposed_convolutions_and_activations_follow_the_tools_rules(tmp_path: Path) -> None:
    options = schema.TransposeConvOptionsT()
    options.strideH = options.strideW = 2
    ops = [
        (schema.BuiltinOperator.TRANSPOSE_CONV, "TransposeConvOptions", options),
        (schema.BuiltinOperator.RELU, "relu", None),
    ]
    found = complexity(build_file(tmp_path / "model.tflite", ops))
    assert found.macs == found.fvcore_flops == 64 * 3 * 3 * 4
    assert found.ntire22_flops == 4 * found.macs + 16 * 16 * 3
    assert (found.params, found.convs, found.activations) == (36, 1, 16 * 16 * 3)
    assert found.receptive_field is None
    assert any("transposed convolutions taken at output pixels" in t for t in found.warnings)


def test_bilinear_resizing_costs_four_an_element_under_fvcore(tmp_path: Path) -> None:
    options = schema.ResizeBilinearOptionsT()
    ops = [(schema.BuiltinOperator.RESIZE_BILINEAR, "ResizeBilinearOptions", options)]
    found = complexity(build_file(tmp_path / "model.tflite", ops))
    assert (found.macs, found.ntire22_flops, found.fvcore_flops) == (0, 0, 4 * 16 * 16 * 3)
    assert found.shape == (8, 8)


def test_a_file_is_counted_without_torch(tmp_path: Path) -> None:
    path = export(tmp_path / "model.tflite", build_model("abpn", 2))
    code = (
        "import sys\nfrom edgesr.cli import run\n"
        f"assert run(['cost', {str(path)!r}]) == 0\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603


def test_a_layer_used_twice_is_stored_once(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, lr: Tensor) -> Tensor:
            made: Tensor = self.convolution(torch.relu(self.convolution(lr)))
            return made

    network = Twice()
    file = complexity(export(tmp_path / "model.tflite", network, "float32"), shape=SHAPE)
    assert file.params == complexity(network, shape=SHAPE).params == 84
    assert file.convs == 2


def test_bad_files_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="without the TFL3 mark"):
        complexity(damaged)
    path = export(tmp_path / "model.tflite", build_model("ncnet", 2))
    with pytest.raises(ConfigError, match="enlarges x2, but --scale 3"):
        complexity(path, scale=3)
