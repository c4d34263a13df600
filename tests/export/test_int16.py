"""int16x8 files against their simulation, the reader, and what cannot be written so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn

from edgesr.errors import CheckpointError, DataError, GraphError
from edgesr.export.certificate import certify, replay
from edgesr.export.int16 import write_int16x8
from edgesr.export.parity import compare_family, made_pictures
from edgesr.export.read import read_model
from edgesr.export.tflite import Io
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.litert import Kernels, open_model
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.int16_ptq import quantize_graph_int16
from edgesr.quant.int16x8 import simulate_int16
from edgesr.quant.scheme import WI8_AI16, QuantizedGraph

FAMILIES: tuple[Kernels, ...] = ("xnnpack", "builtin", "reference")


class Mixed(nn.Module):
    """Every operation that an int16x8 file may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 9, 3, padding=1)
        self.depthwise = nn.Conv2d(9, 9, 3, padding=1, groups=9)
        self.side = nn.Conv2d(9, 4, 1)
        self.mix = nn.Conv2d(13, 9, 1)
        self.tail = nn.Conv2d(9, 12, 3, padding=0)

    def forward(self, lr: Tensor) -> Tensor:
        first = nn.functional.relu6(self.head(lr) * 0.05)
        spatial = torch.relu(self.depthwise(first)) + self.depthwise(first)
        joined = torch.cat([spatial, torch.relu(self.side(first))], dim=1)
        mixed = torch.relu(self.mix(joined) + first)
        padded = nn.functional.pad(mixed, (1, 1, 1, 1))
        return nn.functional.pixel_shuffle(self.tail(padded) * 8 + 128, 2).clamp(0, 255)


def quantized(module: nn.Module) -> QuantizedGraph:
    images = torch.randint(0, 256, (2, 24, 24, 3)).float()
    graph = lower(capture(module.eval(), name="net"))
    return quantize_graph_int16(graph, [CalibrationBatch(inputs=images)]).quantized


@pytest.fixture(scope="module", params=["ncnet", "abpn", "mixed"])
def network(request: pytest.FixtureRequest) -> QuantizedGraph:
    torch.manual_seed(0)
    return quantized(Mixed() if request.param == "mixed" else build_model(request.param, 3))


def edited(content: bytes, name: str, scale: float | None, zero_point: int | None) -> bytes:
    """Write ``content`` with another grid for the tensor ``name``."""
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(content)
    grid = next(one for one in model.subgraphs[0].tensors if one.name.decode() == name).quantization
    if scale is not None:
        grid.scale = np.array([scale], np.float32)
    if zero_point is not None:
        grid.zeroPoint = np.array([zero_point], np.int64)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("shape", [None, (24, 38)])
def test_reading_gives_back_what_was_written(
    network: QuantizedGraph, io: Io, shape: tuple[int, int] | None
) -> None:
    content = write_int16x8(network, io=io, shape=shape, metadata={"edgesr": "{}"})
    found = read_model(content)
    assert (found.io, found.shape, found.quantized.scheme) == (io, shape, WI8_AI16)
    assert found.quantized.qparams == network.qparams
    again = write_int16x8(found.quantized, io=io, shape=shape, metadata=found.metadata)
    assert again == content


@pytest.mark.parametrize("kernels", FAMILIES)
@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_a_file_equals_its_simulation_on_every_family(
    network: QuantizedGraph, io: Io, kernels: Kernels
) -> None:
    content = write_int16x8(network, io=io)
    result = compare_family(content, read_model(content), made_pictures(3), kernels=kernels)
    assert result.values > 10_000
    assert result.mismatches == 0


def test_a_wrong_simulation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    content = write_int16x8(quantized(build_model("ncnet", 3)))
    monkeypatch.setattr("edgesr.quant.int16x8._REDUCED_MAX", 0x5000)
    found = compare_family(content, read_model(content), made_pictures(3), kernels="builtin")
    assert found.mismatches > 0


def test_activations_are_symmetric_in_16_bits_and_the_image_has_8(network: QuantizedGraph) -> None:
    wide = [one for one in network.qparams.values() if one.bits == 16]
    assert {one.zero_point for one in wide} == {0}
    assert len(wide) == len(network.qparams) - 1
    last = network.qparams[network.graph.outputs[0]]
    assert (float(last.scale), last.zero_point, last.bits) == (1.0, -128, 8)


def test_biases_have_64_bits_and_every_grey_level_survives_the_way_in() -> None:
    torch.manual_seed(0)
    content = write_int16x8(quantized(build_model("ncnet", 3)))
    tensors = schema.ModelT.InitFromPackedBuf(content).subgraphs[0].tensors
    kinds = {one.type for one in tensors if one.name.endswith(b"/bias")}
    assert kinds == {schema.TensorType.INT64}
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert open_model(content).input_grid.encode(ramp).min() == -128


def test_a_certificate_of_an_int16x8_file_can_be_replayed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "model.tflite"
    path.write_bytes(write_int16x8(quantized(build_model("abpn", 2)), io="uint8"))
    found = certify(path, environment={}, pictures=made_pictures(3)[3:])
    assert found.mismatches == 0
    assert replay(found.certificate).kernels == FAMILIES


def test_ends_on_other_grids_are_refused() -> None:
    torch.manual_seed(0)
    network = quantized(build_model("ncnet", 3))
    cases: tuple[tuple[Io, str, float | None, int | None, str], ...] = (
        ("int8", "lr", 0.5, None, "not on whole grey levels"),
        ("uint8", "sr", None, 1, "not on whole grey levels"),
        ("float32", "sr/int8", 2.0, None, "not on the grey levels"),
        ("int8", "lr/int16", 1 / 64, None, "bias is not on the grid"),
        ("int8", "body.0", None, 3, "an int16 tensor has a zero point"),
    )
    for io, name, scale, zero, reason in cases:
        with pytest.raises(CheckpointError, match=reason):
            read_model(edited(write_int16x8(network, io=io), name, scale, zero))


def test_a_move_of_pixels_inside_and_foreign_operations_are_refused() -> None:
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv2d(3, 12, 3, padding=1)
            self.tail = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, lr: Tensor) -> Tensor:
            result: Tensor = self.tail(nn.functional.pixel_shuffle(self.head(lr), 2))
            return result

    with pytest.raises(GraphError, match="DEPTH_TO_SPACE has no int16 kernel"):
        quantized(Inside())
    with pytest.raises(GraphError, match="is not made by DEPTH_TO_SPACE"):
        write_int16x8(quantized(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))))


def test_widths_and_families_that_do_not_exist_are_refused(network: QuantizedGraph) -> None:
    codes = torch.zeros((1, 8, 8, 3), dtype=torch.int8)
    with pytest.raises(DataError, match="kernels 'neon' cannot be simulated"):
        simulate_int16(network, codes, kernels="neon")
    name = next(iter(network.weights))
    narrow = {**network.weights, name: replace(network.weights[name], bits=4)}
    with pytest.raises(GraphError, match="has 4 bits, want 8"):
        write_int16x8(replace(network, weights=narrow))
