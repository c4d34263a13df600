"""A .tflite file as an upscaler: every I/O type, any or one size, tiled and whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgesr.errors import CheckpointError, DataError
from edgesr.export.tflite import Io, write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.passes import lower
from edgesr.models import MODELS, build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.scheme import QuantizedGraph
from edgesr.upscalers import load_upscaler, upscale_image
from edgesr.upscalers.network import TorchUpscaler
from edgesr.upscalers.reach import tflite_reach
from edgesr.upscalers.tflite import TfliteUpscaler

Photo = Callable[..., NDArray[np.uint8]]
SCALE = 2
REACH = 7


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    return lower(capture(build_model("ncnet", SCALE), name="ncnet"))


@pytest.fixture(scope="module")
def quantized(graph: Graph) -> QuantizedGraph:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))).float()
    return quantize_graph(graph, [CalibrationBatch(inputs=images)]).quantized


@pytest.fixture
def write(tmp_path: Path, graph: Graph, quantized: QuantizedGraph) -> Callable[..., Path]:
    def make(io: Io | None, shape: tuple[int, int] | None = None) -> Path:
        path = tmp_path / f"{io}_{shape}.tflite"
        if io is None:
            path.write_bytes(write_float32(graph, shape=shape))
        else:
            path.write_bytes(write_int8(quantized, io=io, shape=shape))
        return path

    return make


@pytest.mark.parametrize("io", ["uint8", "int8", "float32"])
def test_tiled_int8_equals_untiled(write: Callable[..., Path], photo: Photo, io: Io) -> None:
    upscaler = load_upscaler(write(io), threads=1)
    lr = photo(61, 83)
    whole = upscale_image(upscaler, lr, tile=0)
    assert whole.shape == (122, 166, 3)
    assert whole.dtype == np.uint8
    for tile in (15, 24, 40, 64):
        np.testing.assert_array_equal(upscale_image(upscaler, lr, tile=tile), whole)


def test_the_io_type_does_not_change_the_picture(write: Callable[..., Path], photo: Photo) -> None:
    lr = photo(33, 21)
    pictures = [load_upscaler(write(io), threads=1)(lr) for io in ("uint8", "int8", "float32")]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize("shape", [(24, 32), (40, 60), (20, 50)])
def test_a_file_of_one_size_gives_the_picture_of_a_file_for_every_size(
    write: Callable[..., Path], photo: Photo, shape: tuple[int, int]
) -> None:
    lr = photo(40, 60)
    fixed = load_upscaler(write("uint8", shape), threads=1)
    assert fixed.window == shape
    expected = load_upscaler(write("uint8"), threads=1)(lr)
    np.testing.assert_array_equal(fixed(lr), expected)
    np.testing.assert_array_equal(upscale_image(fixed, lr), expected)


@pytest.mark.parametrize("size", [(23, 60), (40, 31), (5, 5)])
def test_an_image_smaller_than_the_one_size_is_refused(
    write: Callable[..., Path], photo: Photo, size: tuple[int, int]
) -> None:
    fixed = load_upscaler(write("uint8", (24, 32)), threads=1)
    message = (
        f"image is {size[0]} high and {size[1]} wide, but .* fixed to 24 high and 32 wide; "
        "export without --shape"
    )
    with pytest.raises(DataError, match=message):
        fixed(photo(*size))


def test_the_float_file_agrees_with_torch(
    write: Callable[..., Path], photo: Photo, tmp_path: Path
) -> None:
    from edgesr.models.checkpoint import save_weights

    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_weights(path, build_model("ncnet", SCALE).state_dict(), model="ncnet", scale=SCALE)
    lr = photo(20, 26)
    by_torch = TorchUpscaler(path)
    assert (by_torch.scale, by_torch.halo, by_torch.window) == (SCALE, REACH, None)
    difference = load_upscaler(write(None), threads=1)(lr).astype(int) - by_torch(lr)
    assert np.abs(difference).max() <= 1
    tiled = upscale_image(by_torch, lr, tile=18).astype(int) - by_torch(lr)
    assert np.abs(tiled).max() <= 1


@pytest.mark.parametrize("name", ["ncnet", "abpn", "xlsr", "sesr_m3", "etds_t", "quicksrnet_s"])
def test_the_reach_read_from_a_file_is_that_of_the_descriptor(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(write_float32(lower(capture(build_model(name, 3), name=name))))
    assert tflite_reach(path) == MODELS[name].receptive_field // 2


def test_a_convolution_after_depth_to_space_reaches_less_far(tmp_path: Path) -> None:
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 12, 3, padding=1),
        torch.nn.PixelShuffle(2),
        torch.nn.Conv2d(3, 3, 3, 1, 1),
    )
    path = tmp_path / "net.tflite"
    path.write_bytes(write_float32(lower(capture(net, name="late"))))
    assert tflite_reach(path) == 2  # 1 + one half, rounded up


def test_an_unknown_operator_has_no_reach_and_is_not_tiled(
    write: Callable[..., Path], photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgesr.upscalers.reach as module

    rules: dict[str, Any] = {k: v for k, v in module._RULES.items() if k != "DEPTH_TO_SPACE"}
    monkeypatch.setattr(module, "_RULES", rules)
    upscaler = TfliteUpscaler(write("uint8"), threads=1)
    assert upscaler.halo is None
    assert upscale_image(upscaler, photo(40, 40)).shape == (80, 80, 3)
    with pytest.raises(DataError, match="its reach is unknown, so it cannot be tiled; use tile 0"):
        upscale_image(upscaler, photo(40, 40), tile=20)
    fixed = TfliteUpscaler(write("uint8", (24, 24)), threads=1)
    with pytest.raises(DataError, match="runs only images 24 high and 24 wide"):
        upscale_image(fixed, photo(40, 40))


def test_another_scale_than_asked_for_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="upscales x2, but x3 was asked for; drop --scale"):
        load_upscaler(write("uint8"), scale=3)
