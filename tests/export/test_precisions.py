"""Every precision of ``edgesr export``, against LiteRT, torch and the bytes of the file."""

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgesr.bench.cost import complexity
from edgesr.cli.export import Precision as Flag
from edgesr.errors import CheckpointError, DataError, GraphError
from edgesr.export.inspect import read_content
from edgesr.export.operators import FLOAT_TYPES, operator_problems
from edgesr.export.pipeline import ExportRequest, export_model
from edgesr.export.precisions import PRECISIONS, FloatNetwork, Network
from edgesr.export.tflite import write_int8
from edgesr.export.weight_only import float16_constants
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D
from edgesr.graph.passes import lower
from edgesr.litert import Kernels, open_model
from edgesr.metrics import psnr
from edgesr.models import build_model
from edgesr.models.checkpoint import load_model, save_weights
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.scheme import SCHEMES
from edgesr.upscalers.protocol import upscale_image
from edgesr.upscalers.tflite import TfliteUpscaler

Photo = Callable[..., NDArray[np.uint8]]
FAMILIES: tuple[Kernels, ...] = ("xnnpack", "builtin", "reference")
WEIGHTS = {
    "float16": "FLOAT16",
    "weight_int8": "INT8",
    "weight_int4": "INT4",
    "dynamic_int8": "INT8",
}
NETWORKS = ["ncnet", "depthwise"]


class Depthwise(nn.Module):
    """A network with a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 13, 3, padding=1)
        self.depthwise = nn.Conv2d(13, 13, 3, padding=1, groups=13)
        self.tail = nn.Conv2d(13, 12, 3, padding=1)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.head(lr))
        return nn.functional.pixel_shuffle(
            self.tail(torch.relu(self.depthwise(first)) + first) + 100, 2
        ).clamp(0, 255)


@functools.cache
def module(name: str) -> nn.Module:
    torch.manual_seed(0)
    return (Depthwise() if name == "depthwise" else build_model(name, 3)).eval()


@functools.cache
def lowered(name: str) -> Graph:
    return lower(capture(module(name), name=name))


@functools.cache
def network(name: str, precision: str) -> Network:
    torch.manual_seed(1)
    images = torch.nn.functional.interpolate(torch.rand(3, 3, 12, 12), size=40, mode="bicubic")
    images = images.mul(255).clamp(0, 255).round().permute(0, 2, 3, 1).contiguous()
    return PRECISIONS[precision].make(lowered(name), [CalibrationBatch(inputs=images)])


@functools.cache
def content(name: str, precision: str) -> bytes:
    io = PRECISIONS[precision].ios[0]
    return network(name, precision).write(io=io, shape=None, metadata={})


def float_sr(name: str, lr: NDArray[np.uint8]) -> NDArray[np.float64]:
    image = torch.from_numpy(lr).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        sr = module(name)(image)[0].clamp(0, 255)
    result: NDArray[np.float64] = sr.permute(1, 2, 0).double().numpy()
    return result


def decibels(name: str, precision: str, lr: NDArray[np.uint8]) -> float:
    sr = open_model(content(name, precision)).upscale(lr)
    return psnr(sr.astype(np.float64), float_sr(name, lr))


def test_the_flag_offers_exactly_these_precisions() -> None:
    assert set(get_args(Flag)) == set(PRECISIONS)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_operators_are_the_graphs_in_order(name: str, precision: str) -> None:
    for io in PRECISIONS[precision].ios:
        made = network(name, precision)
        found = made.write(io=io, shape=None, metadata={})
        assert made.problems(found, io) == ()


def test_a_file_of_another_precision_is_no_clean_file_of_this_one() -> None:
    for precision in set(PRECISIONS) - {"int8"}:
        io = PRECISIONS[precision].ios[0]
        assert network("ncnet", precision).problems(content("ncnet", "int8"), io)
    types = operator_problems(
        content("ncnet", "float16"),
        read_content(content("ncnet", "float16")).operators,
        types=FLOAT_TYPES,
        kind="float",
    )
    assert types == ("inner tensors are FLOAT16, want INT32 and FLOAT32",)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_kernel_family_runs_it_and_stays_close_to_float(
    name: str, precision: str, photo: Photo
) -> None:
    lr = photo(24, 31)
    wanted = float_sr(name, lr)
    for kernels in FAMILIES:
        sr = open_model(content(name, precision), kernels=kernels).upscale(lr)
        floor = 35.0 if precision == "weight_int4" else 48.0
        assert psnr(sr.astype(np.float64), wanted) > floor


def test_more_bits_come_closer_to_float(photo: Photo) -> None:
    lr = photo(40, 52, seed=3)
    found = {one: decibels("ncnet", one, lr) for one in PRECISIONS}
    assert found["float16"] > found["float32"] - 0.1
    assert found["weight_int8"] > found["dynamic_int8"]
    assert found["int16x8"] > found["int8"] - 0.1
    assert found["weight_int4"] < found["weight_int8"]
    assert found["int16x8"] > 57.0


@pytest.mark.parametrize(("precision", "kind"), WEIGHTS.items())
def test_weights_are_stored_in_their_type_and_fewer_bytes(precision: str, kind: str) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content("ncnet", precision))
    number = getattr(schema.TensorType, kind)
    weights = [one for one in model.subgraphs[0].tensors if one.name.endswith(b"/weight")]
    stored = [one for one in weights if one.type == number]
    assert len(stored) >= 5
    bits = {"FLOAT16": 16, "INT8": 8, "INT4": 4}[kind]
    for one in stored:
        elements = int(np.prod(one.shape))
        assert len(model.buffers[one.buffer].data) == -(-elements * bits // 8)
    limits = {"float16": 0.53, "weight_int8": 0.33, "weight_int4": 0.21, "dynamic_int8": 0.33}
    ratio = len(content("ncnet", precision)) / len(content("ncnet", "float32"))
    assert ratio < limits[precision]


def test_int4_weights_unpack_to_the_codes_that_were_packed() -> None:
    fitted = network("ncnet", "weight_int4").fitted
    narrow = {name: one for name, one in fitted.items() if one.bits == 4}
    assert len(narrow) >= 5
    graph = lowered("ncnet")
    for name, one in narrow.items():
        assert np.abs(one.values).max() == 7
        op = next(op for op in graph.ops if op.name == name)
        assert isinstance(op, Conv2D)
        error = one.values * one.scales.reshape(-1, 1, 1, 1) - op.weight
        step = one.scales.reshape(-1, 1, 1, 1)
        assert np.abs(error).mean() < step.mean()
    widths = [fitted[op.name].bits for op in graph.ops if isinstance(op, Conv2D)]
    assert widths[0] == 8


def test_a_weight_beyond_float16_is_refused() -> None:
    graph = lowered("ncnet")
    large = [
        replace(op, weight=op.weight * np.float32(1e6)) if isinstance(op, Conv2D) else op
        for op in graph.ops
    ]
    made = FloatNetwork(graph=replace(graph, ops=tuple(large)), constants=float16_constants)
    with pytest.raises(GraphError, match=r"beyond float16's 65504; export float32"):
        made.write(io="float32", shape=None, metadata={})


@pytest.mark.parametrize("scheme", ["wi4_ai8", "wi6_ai6", "wi8_ai8"])
def test_networks_below_8_bits_are_never_exported(scheme: str) -> None:
    quantized = network("ncnet", "int8").quantized
    assert quantized is not None
    name = next(iter(quantized.weights))
    narrow = {**quantized.weights, name: replace(quantized.weights[name], bits=4)}
    with pytest.raises(GraphError, match=f"scheme {scheme}: weight of layer .* has 4 bits.*never"):
        write_int8(replace(quantized, weights=narrow, scheme=scheme))
    tensor = next(one for one in quantized.qparams if one != "lr")
    grid = replace(quantized.qparams[tensor], bits=6, zero_point=0)
    grids = {**quantized.qparams, tensor: grid}
    with pytest.raises(GraphError, match=r"tensor .* has 6 bits, want 8; .*simulated only, never"):
        write_int8(replace(quantized, qparams=grids, scheme=scheme))


def test_an_int16_network_is_not_written_as_int8() -> None:
    quantized = network("ncnet", "int16x8").quantized
    assert quantized is not None
    with pytest.raises(GraphError, match=r"has 16 bits, want 8; write it as int16x8"):
        write_int8(quantized)
    assert SCHEMES[quantized.scheme].simulated is False
    assert SCHEMES[quantized.scheme].label == "W8A16"


@pytest.mark.parametrize("precision", ["int16x8", "float16", "weight_int8"])
def test_an_export_reports_its_precision_inside_the_file_and_beside_it(
    precision: str, tmp_path: Path, save_photo: Callable[..., Path]
) -> None:
    checkpoint = tmp_path / "net.safetensors"
    save_weights(checkpoint, module("ncnet").state_dict(), model="ncnet", scale=3)
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", 90, 96, seed=number)
    request = ExportRequest(
        output=tmp_path / "model.tflite",
        precision=precision,
        calibration=tmp_path / "photos",
        shape=(30, 32),
    )
    export = export_model(load_model(checkpoint), request)
    report = json.loads((tmp_path / "model.json").read_text())
    metadata = json.loads(open_model(request.output).metadata["edgesr"])
    assert report["precision"] == metadata["precision"] == precision
    assert report["io"] == PRECISIONS[precision].ios[0]
    quantization = report["quantization"]
    if precision == "float16":
        assert quantization is None
        assert report["calibration"] is None
    else:
        assert quantization["scheme"] == PRECISIONS[precision].scheme
        assert report["calibration"]["crops"] > 0
    assert export.fidelity.mismatches == (0 if precision == "int16x8" else None)


def test_precisions_and_numbers_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "net.safetensors"
    save_weights(checkpoint, module("ncnet").state_dict(), model="ncnet", scale=3)
    loaded = load_model(checkpoint)
    request = ExportRequest(output=tmp_path / "model.tflite", precision="int2")
    with pytest.raises(DataError, match="precision 'int2' is unknown; choose one of int8, "):
        export_model(loaded, request)
    request = replace(request, precision="float16", io="int8")
    with pytest.raises(DataError, match="a float16 file has no int8 input; choose one of float32"):
        export_model(loaded, request)
    quantized = network("ncnet", "int8").quantized
    with pytest.raises(CheckpointError, match="its scales were trained in int8"):
        export_model(loaded, replace(request, io=None), quantized)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_costs_and_reach_do_not_depend_on_how_weights_are_stored(
    precision: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content("ncnet", precision))
    wanted = complexity(module("ncnet"), shape=(20, 24))
    found = complexity(path, shape=(20, 24))
    assert (found.params, found.frozen_params) == (wanted.params, wanted.frozen_params)
    assert (found.macs, found.convs) == (wanted.macs, wanted.all_convs)
    assert found.receptive_field == wanted.receptive_field == 15
    assert found.peak_memory_int8_mib == pytest.approx(wanted.peak_memory_int8_mib, rel=0.3)


@pytest.mark.parametrize("precision", ["int16x8", "weight_int4", "float16"])
def test_a_large_picture_in_tiles_is_the_picture_at_once(
    precision: str, tmp_path: Path, photo: Photo
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content("ncnet", precision))
    lr = photo(40, 60)
    upscaler = TfliteUpscaler(path, threads=1)
    tiled = upscale_image(upscaler, lr, tile=32)
    error = np.abs(tiled.astype(np.int64) - upscaler(lr))
    assert error.max() <= (0 if precision == "int16x8" else 1)
