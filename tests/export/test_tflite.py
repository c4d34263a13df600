"""Files against LiteRT's interpreter, torch and the flatbuffer that they are."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgesr.export.inspect import read_content
from edgesr.export.operators import check_operators
from edgesr.export.tflite import Io, write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.passes import lower
from edgesr.litert import open_model
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.scheme import QuantizedGraph

Photo = Callable[..., NDArray[np.uint8]]
CORE = {
    "ncnet": (*["CONV_2D"] * 8, "ADD", "DEPTH_TO_SPACE"),
    "abpn": (*["CONV_2D"] * 7, "CONCATENATION", "ADD", "DEPTH_TO_SPACE"),
    "edge_s": (*["CONV_2D"] * 9, "ADD", "DEPTH_TO_SPACE"),
    "xlsr": (*["CONV_2D"] * 9, "CONCATENATION", *["CONV_2D"] * 2, "DEPTH_TO_SPACE"),
    "etds_t": (*["CONV_2D"] * 8, "DEPTH_TO_SPACE"),
}
ENDS: dict[Io, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "int8": ((), ()),
    "uint8": (("QUANTIZE",), ("QUANTIZE",)),
    "float32": (("QUANTIZE",), ("DEQUANTIZE",)),
}


def lowered(name: str, scale: int) -> Graph:
    torch.manual_seed(scale)
    return lower(capture(build_model(name, scale), name=name))


@functools.cache
def quantized(name: str, scale: int) -> QuantizedGraph:
    images = torch.randint(0, 256, (2, 24, 24, 3)).float()
    return quantize_graph(lowered(name, scale), [CalibrationBatch(inputs=images)]).quantized


@pytest.mark.parametrize("io", ENDS)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", CORE)
def test_the_operators_of_a_model_are_exactly_these(name: str, scale: int, io: Io) -> None:
    graph = quantized(name, scale)
    content = write_int8(graph, io=io)
    before, after = ENDS[io]
    found = read_content(content)
    assert found.operators == (*before, *CORE[name], *after)
    assert found.inner_types <= {"INT8", "INT32"}
    assert check_operators(content, graph.graph, io) == ()


@pytest.mark.parametrize("io", ENDS)
@pytest.mark.parametrize("shape", [None, (22, 35)])
def test_all_io_types_and_shapes_give_the_same_picture(
    io: Io, shape: tuple[int, int] | None, photo: Photo
) -> None:
    graph = quantized("ncnet", 3)
    image = photo(22, 35)
    wanted = open_model(write_int8(graph)).upscale(image)
    file = open_model(write_int8(graph, io=io, shape=shape))
    assert file.fixed_shape == shape
    assert file.io == np.dtype(io)
    assert np.array_equal(file.upscale(image), wanted)


@pytest.mark.parametrize("name", ["ncnet", "abpn"])
def test_a_float32_file_equals_torch(name: str, photo: Photo) -> None:
    torch.manual_seed(3)
    module = build_model(name, 3).eval()
    nn.init.uniform_(module.get_parameter("body.12.bias"), -300.0, 300.0)  # reaches the clip
    file = open_model(write_float32(lower(capture(module, name=name))))
    for size in ((19, 33), (8, 8)):
        image = photo(*size)[None].astype(np.float32)
        with torch.no_grad():
            wanted = module(torch.from_numpy(image).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        assert (wanted.min(), wanted.max()) == (0.0, 255.0)
        assert np.abs(file.run(image) - wanted.numpy()).max() < 1e-2


def test_a_float32_file_has_no_transpose() -> None:
    operators = read_content(write_float32(lowered("ncnet", 3))).operators
    assert operators == (*["CONV_2D"] * 8, "ADD", "MINIMUM", "RELU", "DEPTH_TO_SPACE")


@pytest.mark.parametrize("write", [write_float32, write_int8])
def test_buffers_are_aligned_and_stored_once(write: Callable[..., bytes]) -> None:
    graph = lowered("ncnet", 3) if write is write_float32 else quantized("ncnet", 3)
    content = read_content(write(graph, metadata={"edgesr": "{}"}))
    assert len(content.buffer_offsets) > 8
    assert all(offset % 16 == 0 for offset in content.buffer_offsets)
    assert len(set(content.buffer_offsets)) == len(content.buffer_offsets)


def test_equal_weights_share_a_buffer() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            return self.convolution(torch.relu(self.convolution(lr)))  # type: ignore[no-any-return]

    once = write_float32(lower(capture(nn.Conv2d(3, 3, 3, padding=1), name="once")))
    twice = write_float32(lower(capture(Twice(), name="twice")))
    count = len(read_content(once).buffer_offsets)
    assert len(read_content(twice).buffer_offsets) == count


def test_names_and_signature_are_in_the_file() -> None:
    from ai_edge_litert.interpreter import Interpreter

    content = write_int8(quantized("ncnet", 3), io="uint8")
    assert {"lr", "sr", "lr/int8", "sr/int8", "body.0/weight", "anchor"} <= set(
        read_content(content).tensors
    )
    signatures = Interpreter(model_content=content).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["lr"], "outputs": ["sr"]}}


def test_scales_in_the_file_are_those_of_the_graph() -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph = quantized("abpn", 2)
    subgraph = schema.Model.GetRootAs(write_int8(graph), 0).Subgraphs(0)
    seen = 0
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        name = tensor.Name().decode()
        if name in graph.qparams:
            grid = tensor.Quantization()
            assert np.float32(grid.Scale(0)) == graph.qparams[name].scale
            assert grid.ZeroPoint(0) == graph.qparams[name].zero_point
            seen += 1
    assert seen == len(graph.qparams)


def test_the_checker_reports_a_float_file_and_a_wrong_operator_list() -> None:
    graph = quantized("ncnet", 2)
    problems = check_operators(write_float32(lowered("ncnet", 2)), graph.graph, "int8")
    assert any("MINIMUM is not allowed" in problem for problem in problems)
    assert any("inner tensors are FLOAT32" in problem for problem in problems)
    (problem,) = check_operators(write_int8(quantized("abpn", 2)), graph.graph, "int8")
    assert "want CONV_2D CONV_2D" in problem


def test_writing_takes_less_than_half_a_second() -> None:
    import time

    graph = quantized("ncnet", 4)
    start = time.process_time()
    write_int8(graph)
    assert time.process_time() - start < 0.5
