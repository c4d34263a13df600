"""Opening and running .tflite files, whole and broken."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgesr.errors import CheckpointError, DataError, MissingDependencyError
from edgesr.export.tflite import write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Add
from edgesr.graph.passes import lower
from edgesr.litert import RESOLVERS, Kernels, open_model
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.quant.scheme import QuantizedGraph

Photo = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="module")
def quantized() -> QuantizedGraph:
    torch.manual_seed(0)
    graph = lower(capture(build_model("ncnet", 2), name="ncnet"))
    images = torch.randint(0, 256, (2, 24, 24, 3)).float()
    return quantize_graph(graph, [CalibrationBatch(inputs=images)]).quantized


@pytest.mark.parametrize("kernels", RESOLVERS)
def test_every_kernel_family_runs_any_size(
    kernels: Kernels, quantized: QuantizedGraph, photo: Photo
) -> None:
    model = open_model(write_int8(quantized), kernels=kernels)
    assert (model.scale, model.fixed_shape, model.io) == (2, None, np.dtype(np.int8))
    for size in ((20, 31), (9, 12), (20, 31)):
        sr = model.upscale(photo(*size))
        assert sr.shape == (2 * size[0], 2 * size[1], 3)
        assert sr.dtype == np.uint8


def test_a_batch_is_its_images_one_by_one(quantized: QuantizedGraph, photo: Photo) -> None:
    model = open_model(write_int8(quantized, io="uint8"), threads=2)
    images = np.stack([photo(14, 18, seed) for seed in range(3)])
    batch = model.run(images)
    for image, sr in zip(images, batch, strict=True):
        assert np.array_equal(model.run(image[None])[0], sr)
        assert np.array_equal(model.upscale(image), sr)


def test_metadata_is_read_back(quantized: QuantizedGraph) -> None:
    content = write_int8(quantized, metadata={"edgesr": '{"model": "ncnet"}'})
    assert dict(open_model(content).metadata) == {"edgesr": '{"model": "ncnet"}'}


def test_wrong_input_is_refused_with_what_is_wanted(
    quantized: QuantizedGraph, photo: Photo
) -> None:
    model = open_model(write_int8(quantized, io="uint8", shape=(16, 20)))
    assert model.fixed_shape == (16, 20)
    with pytest.raises(DataError, match="image is 20x16, want 16x20"):
        model.run(photo(20, 16)[None])
    with pytest.raises(DataError, match=r"want \(n, h, w, 3\)"):
        model.run(photo(16, 20))
    with pytest.raises(DataError, match="input is float32, want uint8"):
        model.run(photo(16, 20)[None].astype(np.float32))


@pytest.mark.parametrize("keep", [0, 7, 8, 100, 5000, 30_000])
def test_a_truncated_file_is_refused(keep: int, quantized: QuantizedGraph, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(write_int8(quantized)[:keep])
    with pytest.raises(CheckpointError, match=r"model\.tflite"):
        open_model(path)


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.tflite: cannot be read"):
        open_model(tmp_path / "none.tflite")
    path = tmp_path / "photo.tflite"
    path.write_bytes(b"\x89PNG" * 100)
    with pytest.raises(CheckpointError, match="without the TFL3 mark"):
        open_model(path)


def test_a_network_that_does_not_enlarge_by_a_whole_factor_is_refused() -> None:
    add = Add(name="add", inputs=("lr", "other"), output="sr")
    specs = (TensorSpec(name="lr", channels=3), TensorSpec(name="other", channels=3))
    graph = Graph(name="two", inputs=specs, outputs=("sr",), ops=(add,))
    with pytest.raises(CheckpointError, match="want one image"):
        open_model(write_float32(graph))


def test_impossible_settings_are_refused(quantized: QuantizedGraph) -> None:
    content = write_int8(quantized)
    with pytest.raises(DataError, match="threads is 0, want 1 or more"):
        open_model(content, threads=0)
    with pytest.raises(DataError, match="kernels is 'gpu', want one of xnnpack"):
        open_model(content, kernels="gpu")  # type: ignore[arg-type]


def test_without_a_runtime_the_package_to_install_is_named(
    quantized: QuantizedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_int8(quantized)

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("edgesr.litert.importlib.import_module", missing)
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        open_model(content)
