"""``edgesr train --qat`` from a float run to a verified file, as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from edgesr.cli import run
from edgesr.data.cache import DecodedImages
from edgesr.errors import CheckpointError, ConfigError, DataError
from edgesr.export.inspect import read_content
from edgesr.export.tflite import write_int8
from edgesr.imresize import downscale
from edgesr.models import build_model
from edgesr.models.checkpoint import load_model, save_weights
from edgesr.models.quantized import load_exportable, save_quantized
from edgesr.quant.scheme import QParams
from edgesr.train.config import TrainConfig
from edgesr.train.loop import TrainResult
from edgesr.train.qat import QuantizationAware, check_qat, freeze_step, load_start
from edgesr.train.state import load_state
from tests.train.running import stop_at, train_in

Photo = Callable[..., Any]
SETTINGS: dict[str, Any] = {
    "scale": 2,
    "qat": True,
    "steps": 10,
    "batch_size": 2,
    "patch_size": 16,
    "val_every": 5,
    "save_every": 5,
    "log_every": 2,
    "learning_rate": 1e-3,
    "scale_rate_factor": 10.0,
}


@pytest.fixture
def float_run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    module = build_model("ncnet", 2)
    nn.init.uniform_(module.get_parameter("body.12.bias"), -2.0, 2.0)
    with torch.no_grad():
        module.get_parameter("body.12.weight").mul_(10.0)
    save_weights(tmp_path / "float/best.safetensors", module.state_dict(), model="ncnet", scale=2)
    return tmp_path / "float"


@pytest.fixture
def images(photo: Photo) -> DecodedImages:
    hr = tuple(photo(80, 96, seed) for seed in range(3))
    lr = tuple(downscale(one, 2) for one in hr)
    return DecodedImages(scale=2, names=("a", "b", "c"), lr=lr, hr=hr, sha256=("", "", ""))


def go(
    folder: Path,
    images: DecodedImages,
    listen: Callable[[dict[str, Any]], None] = lambda _event: None,
    **changes: Any,
) -> TrainResult:
    config = TrainConfig(**{**SETTINGS, "start_from": folder.parent / "float", **changes})
    check_qat(config)
    start = load_start(config, images)
    assert start is not None
    return train_in(
        folder, config, images, lambda _: QuantizationAware(config=config, start=start), listen
    )


@pytest.mark.parametrize("weight_scales", ["lsq", "max"])
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path: Path, float_run: Path, images: DecodedImages, weight_scales: str
) -> None:
    assert float_run.is_dir()

    go(tmp_path / "whole", images, weight_scales=weight_scales)
    assert go(tmp_path / "parts", images, stop_at(6), weight_scales=weight_scales).interrupted
    go(tmp_path / "parts", images, weight_scales=weight_scales)
    for name in ("last.safetensors", "best.safetensors"):
        first, second = ((tmp_path / part / name).read_bytes() for part in ("whole", "parts"))
        assert first == second
    one, two = (load_state(tmp_path / part) for part in ("whole", "parts"))
    assert all(torch.equal(one.weights[key], two.weights[key]) for key in one.weights)


def test_the_first_event_is_the_start_and_it_is_kept_as_best(
    tmp_path: Path, float_run: Path, images: DecodedImages
) -> None:
    events: list[dict[str, Any]] = []
    go(tmp_path / "r", images, events.append)
    assert float_run.is_dir()
    assert (events[0]["event"], events[0]["step"]) == ("validate", 0)
    assert events[0]["psnr_to_float"] > 50
    best = max(event["psnr_mai"] for event in events if event["event"] == "validate")
    facts = load_exportable(tmp_path / "r/best.safetensors")[0].metadata
    assert float(facts["best_psnr_mai"]) == pytest.approx(best, abs=1e-3)


def test_scales_are_frozen_in_the_last_fifth(
    tmp_path: Path, float_run: Path, images: DecodedImages
) -> None:
    assert float_run.is_dir()
    go(tmp_path / "r", images, steps=20, save_every=1)
    assert freeze_step(TrainConfig(steps=20)) == 16
    state = load_state(tmp_path / "r")
    gains = [key for key in state.weights if "gain" in key]
    assert any(state.weights[key].abs().max() > 0 for key in gains)
    assert all(torch.equal(state.weights[key], state.averages[key]) for key in gains)
    assert not torch.equal(state.weights["layers.0.weight"], state.averages["layers.0.weight"])


def test_the_file_has_the_trained_scales_byte_for_byte(
    tmp_path: Path, save_photo: Photo, float_run: Path
) -> None:
    for index in range(4):
        save_photo(tmp_path / "set" / f"{index}.png", 100, 120, seed=index)
    flags = ["--scale", "2", "--steps", "5", "--batch-size", "2", "--patch-size", "16"]
    flags += ["--val-images", "1", "--runs", str(tmp_path / "runs"), "--name", "q"]
    flags += ["--learning-rate", "1e-4", "--scale-rate-factor", "50"]
    start = ["--from", str(float_run), "--data", str(tmp_path / "set")]
    assert run(["train", "--qat", *start, *flags]) == 0
    made, output = tmp_path / "runs/q", tmp_path / "model.tflite"
    assert run(["train", "--resume", str(made)]) == 0
    assert run(["export", str(output), "--int8", "--checkpoint", str(made)]) == 0
    report = json.loads(output.with_suffix(".json").read_text())
    assert report["verification"]["mismatches"] == 0
    assert report["calibration"] is None
    assert report["quantization"]["trained"] is True
    stored = load_file(made / "best.safetensors")
    _, quantized = load_exportable(made)
    assert quantized is not None
    scales = _scales_of(output)
    for op in quantized.graph.ops:
        wanted = stored[f"grid.{op.output}.scale"].numpy().tobytes()
        assert scales[op.output] == wanted
        if op.name in quantized.weights:
            wanted = stored[f"layer.{op.name}.scales"].numpy().tobytes()
            assert scales[f"{op.name}/weight"] == wanted
    assert read_content(output.read_bytes()).operators


def _scales_of(path: Path) -> dict[str, bytes]:
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_path=str(path)).get_tensor_details()
    return {d["name"]: d["quantization_parameters"]["scales"].tobytes() for d in details}


def test_integers_come_back_from_their_file_as_they_were(
    tmp_path: Path, float_run: Path, images: DecodedImages
) -> None:
    start = load_start(TrainConfig(**SETTINGS, start_from=float_run), images)
    assert start is not None
    save_quantized(tmp_path / "q.safetensors", start.quantized, start.teacher, {"step": "3"})
    loaded, quantized = load_exportable(tmp_path / "q.safetensors")
    assert quantized is not None
    assert write_int8(quantized) == write_int8(start.quantized)
    assert loaded.metadata["step"] == "3"
    assert load_exportable(float_run)[1] is None


def test_a_quantized_run_is_no_float_network(
    tmp_path: Path, float_run: Path, images: DecodedImages
) -> None:
    start = load_start(TrainConfig(**SETTINGS, start_from=float_run), images)
    assert start is not None
    save_quantized(tmp_path / "q.safetensors", start.quantized, start.teacher, {})
    with pytest.raises(CheckpointError, match=r"holds integers .*, want a float network"):
        load_model(tmp_path / "q.safetensors")
    assert (
        run(
            [
                "export",
                str(tmp_path / "m.tflite"),
                "--float32",
                "--checkpoint",
                str(tmp_path / "q.safetensors"),
            ]
        )
        == 3
    )


@pytest.mark.parametrize("damage", ["nan", "missing", "shape", "codes"])
def test_damaged_integers_are_refused(
    tmp_path: Path, float_run: Path, images: DecodedImages, damage: str
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    start = load_start(TrainConfig(**SETTINGS, start_from=float_run), images)
    assert start is not None
    path = tmp_path / "q.safetensors"
    save_quantized(path, start.quantized, start.teacher, {})
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    state = load_file(path)
    match damage:
        case "nan":
            state["grid.body.0.scale"][0] = torch.nan
        case "missing":
            del state["layer.body.2.scales"]
        case "shape":
            state["layer.body.2.scales"] = torch.ones(3)
        case _:
            state["layer.body.2.values"][0, 0, 0, 0] = -128
    save_file(state, path, header)
    with pytest.raises(CheckpointError, match=r"q\.safetensors: "):
        load_exportable(path)


def test_divergence_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, float_run: Path, images: DecodedImages
) -> None:
    assert float_run.is_dir()
    with pytest.raises(DataError, match="training diverged: "):
        go(tmp_path / "r", images, learning_rate=3.0, steps=40)
    _, quantized = load_exportable(tmp_path / "r/best.safetensors")
    assert quantized is not None
    assert all(isinstance(grid, QParams) for grid in quantized.qparams.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start_from": None}, "name it with --from RUN"),
        ({"precision": "bf16"}, "precision = bf16: qat computes whole numbers in float32"),
        ({"compile": True}, "compile = true: qat"),
    ],
)
def test_settings_that_contradict_each_other_are_named(
    changes: dict[str, Any], message: str
) -> None:
    config = TrainConfig(**{"qat": True, "start_from": Path("runs/x"), **changes})
    with pytest.raises(ConfigError, match=message):
        check_qat(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--scale", "3"], "is of scale 2, but scale 3 was asked for"),
        (["--model", "abpn"], "is of model ncnet, but model abpn was asked for"),
        (["--from", "/no/such/run"], "/no/such/run: no such checkpoint"),
    ],
)
def test_a_start_that_does_not_fit_leaves_no_run(  # noqa: PLR0913, PLR0917 - fixtures
    tmp_path: Path,
    save_photo: Photo,
    float_run: Path,
    capsys: pytest.CaptureFixture[str],
    changes: list[str],
    message: str,
) -> None:
    for index in range(3):
        save_photo(tmp_path / "set" / f"{index}.png", 60, 66, seed=index)
    flags = {"--from": str(float_run), "--scale": "2", "--data": str(tmp_path / "set")}
    flags |= {"--runs": str(tmp_path / "runs"), "--val-images": "1", "--patch-size": "16"}
    flags |= dict([changes])
    assert run(["train", "--qat", *(part for pair in flags.items() for part in pair)]) == 3
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_a_teacher_that_is_not_finite_is_refused(
    tmp_path: Path, float_run: Path, images: DecodedImages
) -> None:
    module = load_model(float_run).module
    with torch.no_grad():
        module.get_parameter("body.4.weight")[0, 0] = torch.nan
    save_weights(tmp_path / "bad.safetensors", module.state_dict(), model="ncnet", scale=2)
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        load_start(TrainConfig(**SETTINGS, start_from=tmp_path / "bad.safetensors"), images)
    assert np.isfinite(images.lr[0]).all()
