"""Every network goes through the one export: clean operators, exact in float and in integers."""

from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgesr.export.inspect import read_content
from edgesr.export.operators import check_operators
from edgesr.export.tflite import write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.passes import lower
from edgesr.litert import open_model
from edgesr.models import MODELS, build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.recipe import PtqRecipe
from edgesr.quant.scheme import QuantizedGraph
from edgesr.quant.simulate import simulate

Photo = Callable[..., NDArray[np.uint8]]
QUICK = PtqRecipe(rounding="nearest", bias_correction="none", equalize=False)
ONE_OF_EACH_KIND = (
    *("ncnet", "abpn", "edge_s", "xlsr", "sesr_m3", "quicksrnet_s"),
    *("ecbsr_m4c8", "etds_t", "espcn", "pureconv_m3c32"),
)
CONCATENATES = {"abpn": 1, "xlsr": 1}
ADDS = {"xlsr": 0, "espcn": 0, "quicksrnet_l": 1}
NO_ADD = ("quicksrnet", "etds", "pureconv")
NAMES = [
    pytest.param(name, marks=[] if name in ONE_OF_EACH_KIND else [pytest.mark.slow])
    for name in MODELS
]


def adds(name: str) -> int:
    if name in ADDS:
        return ADDS[name]
    if name.startswith("sesr"):
        return 2
    return 0 if name.startswith(NO_ADD) else 1


@cache
def graph_of(name: str) -> Graph:
    torch.manual_seed(0)
    return lower(capture(build_model(name, 3), name=name))


@cache
def quantized(name: str) -> QuantizedGraph:
    images = torch.randint(0, 256, (1, 24, 24, 3), generator=torch.Generator().manual_seed(0))
    batch = CalibrationBatch(inputs=images.float())
    return quantize_graph(graph_of(name), [batch], QUICK).quantized


@pytest.mark.parametrize("name", NAMES)
def test_an_int8_file_has_convolutions_and_one_shuffle_and_little_else(name: str) -> None:
    content = write_int8(quantized(name))
    found = read_content(content)
    counts = Counter(found.operators)
    assert counts.pop("CONV_2D") >= 3
    assert counts.pop("DEPTH_TO_SPACE") == 1
    assert counts.pop("CONCATENATION", 0) == CONCATENATES.get(name, 0)
    assert counts.pop("ADD", 0) == adds(name)
    assert not counts
    assert found.inner_types <= {"INT8", "INT32"}
    assert check_operators(content, quantized(name).graph, "int8") == ()


@pytest.mark.parametrize("name", NAMES)
def test_integers_are_those_of_litert(name: str, photo: Photo) -> None:
    file = open_model(write_int8(quantized(name)))
    for seed, size in enumerate([(40, 31), (9, 64)]):
        codes = (photo(*size, seed=seed).astype(np.int16) - 128).astype(np.int8)[None]
        found = simulate(quantized(name), torch.from_numpy(codes)).numpy()
        assert np.array_equal(found, file.run(codes))


@pytest.mark.parametrize("name", NAMES)
def test_a_float32_file_equals_torch(name: str, photo: Photo) -> None:
    torch.manual_seed(0)
    module = build_model(name, 3).eval()
    file = open_model(write_float32(graph_of(name)))
    image = photo(19, 33)[None].astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(image).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert np.abs(file.run(image) - wanted.numpy()).max() < 1e-2


def test_the_spare_channel_of_etds_is_not_exported() -> None:
    shapes = [op.weight.shape[0] for op in graph_of("etds_t").ops if hasattr(op, "weight")]
    assert shapes[-1] == 27
    assert build_model("etds_t", 3).get_parameter("clip.weight").shape[0] == 28


def test_features_of_quicksrnet_are_on_a_fixed_range() -> None:
    activations = [getattr(op, "activation", "none") for op in graph_of("quicksrnet_s").ops]
    assert activations == ["relu6"] * 3 + ["none"] * 3


@pytest.mark.parametrize("name", ["edge_s", "sesr_m3"])
def test_grey_levels_map_to_themselves_where_the_residual_is_zero(name: str) -> None:
    module = build_model(name, 3)
    tail = module.get_submodule("tail" if name.startswith("sesr") else "body")
    last = tail if isinstance(tail, torch.nn.Conv2d) else list(tail.children())[-1]
    torch.nn.init.zeros_(last.get_parameter("weight"))
    torch.nn.init.zeros_(last.get_parameter("bias"))
    levels = torch.arange(256.0).reshape(256, 1, 1, 1).expand(256, 6, 6, 3)
    graph = lower(capture(module, name=name))
    result = quantize_graph(graph, [CalibrationBatch(inputs=levels)], QUICK).quantized
    flat = (levels - 128).to(torch.int8)
    wanted = flat.repeat_interleave(3, dim=1).repeat_interleave(3, dim=2)
    assert torch.equal(simulate(result, flat), wanted)
