"""Coverage against plain NumPy, and every warning on a planted fault."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from edgesr.data.layouts import find_dataset
from edgesr.errors import DataError
from edgesr.export.calibration import CalibrationSet, calibration_set
from edgesr.export.calibration_coverage import dead_channels, tensor_coverage
from edgesr.export.calibration_warnings import calibration_warnings, seen_warnings, set_warnings
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D
from edgesr.models.ncnet import NCNet
from edgesr.models.quantized import float_graph
from edgesr.quant.ptq import PtqResult, quantize_graph

SCALE = 2
Photo = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def graph() -> Graph:
    torch.manual_seed(0)
    return float_graph(NCNet(SCALE, width=8).eval(), "ncnet")


@pytest.fixture
def crops(tmp_path: Path, save_photo: Callable[..., Path]) -> CalibrationSet:
    for number in range(8):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 64, seed=number)
    return calibration_set(find_dataset(tmp_path / "photos", SCALE).pairs, SCALE)


@pytest.fixture
def ptq(graph: Graph, crops: CalibrationSet) -> PtqResult:
    return quantize_graph(graph, crops.batches)


def test_coverage_of_the_output_equals_a_count_by_hand(ptq: PtqResult, photo: Photo) -> None:
    lr = (photo(40, 40, seed=9).astype(np.int64) * 2 - 128).clip(0, 255).astype(np.uint8)
    graph = ptq.quantized.graph
    found = {one.name: one for one in tensor_coverage(ptq, [lr])}
    sr = execute(graph, torch.from_numpy(lr)[None].float()).numpy()
    output = found[graph.outputs[0]]
    assert output.fixed
    assert output.coverage == pytest.approx(np.mean((sr >= -0.5) & (sr <= 255.5)), abs=1e-5)
    assert output.saturation_held_out == pytest.approx(np.mean((sr < -1) | (sr > 256)), abs=1e-5)
    assert output.farthest == pytest.approx(max(-sr.min(), sr.max() - 255, 0), rel=1e-5)
    levels = len(np.unique(lr))
    assert found[graph.inputs[0].name].unused_codes == pytest.approx(1 - levels / 256)


def test_a_sound_calibration_on_photographs_does_not_warn_of_its_images(
    crops: CalibrationSet, ptq: PtqResult
) -> None:
    assert set_warnings(crops) == ()
    assert seen_warnings(ptq.calibration, ptq.quantized.qparams) == ()


def test_flat_images_warn_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for number in range(8):
        pixels = np.full((64, 64, 3), 30 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "flat" / f"{number}.png")
    flat = calibration_set(find_dataset(tmp_path / "flat", SCALE).pairs, SCALE)
    (warning,) = set_warnings(flat)
    assert warning.startswith(f"{flat.count} of {flat.count} calibration crops are flat")
    assert "median 0.00" in warning


def test_a_tensor_that_was_never_seen_is_named(ptq: PtqResult) -> None:
    name = next(iter(ptq.calibration.observers))
    rest = {key: one for key, one in ptq.calibration.observers.items() if key != name}
    (warning,) = seen_warnings(replace(ptq.calibration, observers=rest), ptq.quantized.qparams)
    assert warning.startswith(f"tensor {name}: never seen in calibration (1 of ")


def test_a_layer_that_gives_only_zeros_warns_of_its_tensor(
    graph: Graph, crops: CalibrationSet
) -> None:
    first = next(op for op in graph.ops if isinstance(op, Conv2D) and op.activation == "relu")
    silent = replace(first, weight=0 * first.weight, bias=0 * first.bias - 1)
    ops = tuple(silent if op is first else op for op in graph.ops)
    result = quantize_graph(replace(graph, ops=ops), crops.batches)
    found = calibration_warnings(crops, result, [np.zeros((24, 24, 3), np.uint8)])
    assert any(f"tensors {first.output}, " in text and ": 0 on all" in text for text in found)
    channels = len(first.bias)
    assert any(f"{first.name}: channels 0, 1, 2, 3, ..." in text for text in found)
    dead = dead_channels(result.quantized.graph, [crops.batches[0].inputs])
    assert sum(one.layer == first.name and one.weightless for one in dead) == channels


def test_a_channel_that_only_held_out_images_excite_is_told_apart(
    graph: Graph, crops: CalibrationSet
) -> None:
    first = next(op for op in graph.ops if isinstance(op, Conv2D) and op.activation == "relu")
    weight, bias = first.weight.copy(), first.bias.copy()
    weight[3], bias[3] = 0.0, -250.0
    weight[3, 1, 1, 0] = 1.0  # passes red above 250 on
    ops = tuple(replace(first, weight=weight, bias=bias) if op is first else op for op in graph.ops)
    dull = [batch.inputs.clamp(max=200.0) for batch in crops.batches]
    bright = np.full((24, 24, 3), 255, np.uint8)
    planted = replace(graph, ops=ops)
    found = {(one.layer, one.channel): one for one in dead_channels(planted, dull, [bright])}
    assert found[first.name, 3].alive_held_out
    assert not found[first.name, 3].weightless
    again = {(one.layer, one.channel): one for one in dead_channels(planted, dull, [bright // 2])}
    assert not again[first.name, 3].alive_held_out


def test_no_held_out_image_is_an_error(ptq: PtqResult) -> None:
    with pytest.raises(DataError, match="no held-out image"):
        tensor_coverage(ptq, [])
