"""Contenders on their runtimes, their memory, and the time of their operators."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgesr.bench.inference import Request, measure
from edgesr.bench.memory import arena_bytes, measure_memory
from edgesr.bench.profile import cut_behind_operators, profile_operators
from edgesr.bench.runtime import Contender, Runtime, check_output, contenders, open_work
from edgesr.errors import CheckpointError, DataError, MissingDependencyError, UsageError
from edgesr.export.inspect import read_content
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights

SHAPE = (16, 24)
Files = dict[str, Path]


@pytest.mark.parametrize("runtime", ["xnnpack", "builtin", "reference"])
def test_litert_runs_on_each_kernel_family(runtime: Runtime, model_files: Files) -> None:
    (contender,) = contenders({"int8": model_files["int8"]}, runtimes=[runtime])
    output = open_work(contender, SHAPE)()
    assert isinstance(output, np.ndarray)
    assert output.shape == (1, 48, 72, 3)


def test_torch_and_litert_compute_the_same(model_files: Files) -> None:
    from_torch = open_work(contenders({"w": model_files["weights"]})[0], SHAPE)()
    from_litert = open_work(contenders({"f": model_files["float"]})[0], SHAPE)()
    assert isinstance(from_torch, torch.Tensor)
    moved = from_torch.permute(0, 2, 3, 1).numpy()
    assert np.abs(moved - np.asarray(from_litert)).max() < 0.05


def test_names_tell_runtimes_and_threads_apart_where_there_are_several(
    model_files: Files,
) -> None:
    listed = contenders({"m": model_files["int8"]}, runtimes=["xnnpack", "builtin"], threads=[1, 2])
    assert [contender.name for contender in listed] == [
        "m xnnpack 1 thread",
        "m xnnpack 2 threads",
        "m builtin 1 thread",
        "m builtin 2 threads",
    ]
    assert contenders({"m": model_files["int8"]})[0].name == "m"


def test_a_runtime_that_cannot_run_a_file_is_refused(model_files: Files, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="runs on torch or torch-cuda, not on xnnpack"):
        contenders({"w": model_files["weights"]}, runtimes=["xnnpack"])
    with pytest.raises(CheckpointError, match="no such file"):
        contenders({"w": tmp_path / "none.bin"})
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(CheckpointError, match="is no model file"):
        contenders({"t": tmp_path / "text.txt"})


def test_onnx_runtime_is_asked_for_where_it_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no network")
    (contender,) = contenders({"o": path})
    if importlib.util.find_spec("onnxruntime") is None:
        with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
            open_work(contender, SHAPE)
    else:
        with pytest.raises(CheckpointError, match="cannot be opened"):
            open_work(contender, SHAPE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onnx_runtime_runs_an_exported_network(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    pytest.importorskip("onnx", reason="needs onnx to write a network")
    path = tmp_path / "net.onnx"
    network = build_model("ncnet", 3).eval()
    torch.onnx.export(network, (torch.zeros(1, 3, *SHAPE),), path, dynamo=False)
    output: Any = open_work(contenders({"o": path})[0], SHAPE)()
    assert output.shape == (1, 3, 48, 72)


def test_nan_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 4 output values are NaN or infinite"):
        check_output(np.array([0.0, 1.0, np.nan, 2.0]), "net")
    with pytest.raises(DataError, match="NaN"):
        check_output(torch.tensor([float("inf")]), "net")
    check_output(np.array([1, 2], dtype=np.int8), "net")


def test_memory_of_a_file_is_measured_apart_and_grows_with_the_image(model_files: Files) -> None:
    contender = Contender(name="m", source=model_files["int8"], runtime="builtin")
    small, large = (measure_memory(contender, shape) for shape in ((16, 24), (160, 240)))
    assert small.arena_mib is not None
    assert large.arena_mib is not None
    assert large.arena_mib > 20 * small.arena_mib
    assert large.peak_rss_mib >= large.model_rss_mib > large.arena_mib
    assert small.cuda_peak_mib is None


def test_the_arena_holds_at_least_the_two_largest_neighbours(model_files: Files) -> None:
    height, width = 40, 60
    two_maps = 2 * height * width * 32
    assert arena_bytes(model_files["int8"], (height, width)) >= two_maps


def test_a_process_that_dies_is_told_apart_from_an_error(
    model_files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contender = Contender(name="m", source=model_files["fixed"], runtime="xnnpack")
    with pytest.raises(DataError, match="accepts one size only"):
        measure_memory(contender, (20, 20))
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -SEGV $$\n")
    script.chmod(0o755)
    monkeypatch.setattr("edgesr.bench.memory.sys.executable", str(script))
    with pytest.raises(DataError, match=r"its process died \(signal 11\)"):
        measure_memory(contender, SHAPE)


@pytest.mark.gpu
def test_cuda_peak_forgets_what_was_before(model_files: Files) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    contender = Contender(name="m", source=model_files["weights"], runtime="torch-cuda")
    small, large = (measure_memory(contender, shape) for shape in ((32, 32), (256, 256)))
    assert small.cuda_peak_mib is not None
    assert large.cuda_peak_mib is not None
    assert 0 < small.cuda_peak_mib < large.cuda_peak_mib


def test_a_profile_has_every_operator_and_adds_up_to_the_file(model_files: Files) -> None:
    content = model_files["int8"].read_bytes()
    cuts = cut_behind_operators(content)
    assert tuple(operator for operator, _, _ in cuts) == read_content(content).operators
    times = profile_operators(model_files["int8"], shape=(64, 96), repeats=8)
    assert [time.operator for time in times] == [operator for operator, _, _ in cuts]
    assert times[0].median_ms > 0
    assert all(time.low_ms <= time.median_ms <= time.high_ms for time in times)


def test_a_cut_ends_with_the_operator_that_it_names(model_files: Files) -> None:
    for number, (operator, _, cut) in enumerate(
        cut_behind_operators(model_files["float"].read_bytes()), start=1
    ):
        operators = read_content(cut).operators
        assert len(operators) == number
        assert operators[-1] == operator


def test_failures_are_listed_and_the_rest_is_measured(model_files: Files, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\0\0\0\0TFL3" + bytes(200))
    nan = tmp_path / "nan.safetensors"
    state = build_model("ncnet", 3).state_dict()
    state[next(iter(state))].fill_(float("nan"))
    save_weights(nan, state, model="ncnet", scale=3)
    models: dict[str, Path | bytes] = {
        "broken": broken,
        "good": model_files["int8"],
        "fixed": model_files["fixed"],
        "nan": nan,
        "none": tmp_path / "none.tflite",
    }
    document = measure(Request(models=models, shape=(20, 20), repeats=3, memory=False))
    assert [entry["name"] for entry in document["timings"]] == ["good"]
    reasons = {failure["name"]: failure["reason"] for failure in document["failures"]}
    assert set(reasons) == {"broken", "fixed", "nan", "none"}
    assert "accepts one size only" in reasons["fixed"]
    assert "NaN" in reasons["nan"]


def test_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing could be measured: gone: "):
        measure(Request(models={"gone": tmp_path / "gone.tflite"}))
