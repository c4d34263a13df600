"""From a checkpoint to a verified file, and what happens when it does not pass."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgesr.errors import CheckpointError, DatasetError, GateError, OutputError
from edgesr.export.calibration import calibration_set, choose_images
from edgesr.export.challenge import CHALLENGE_FILES
from edgesr.export.pipeline import (
    ExportRequest,
    export_model,
    write_challenge_files,
)
from edgesr.files import sha256_file
from edgesr.images import read_image, write_image
from edgesr.imresize import downscale
from edgesr.litert import open_model
from edgesr.models import build_model
from edgesr.models.checkpoint import LoadedModel, load_model, save_weights

SCALE = 3
SavePhoto = Callable[..., Path]


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedModel:
    torch.manual_seed(0)
    module = build_model("ncnet", SCALE)
    nn.init.uniform_(module.get_parameter("body.12.bias"), -2.0, 2.0)
    path = tmp_path / "run" / "best.safetensors"
    save_weights(path, module.state_dict(), model="ncnet", scale=SCALE)
    return load_model(path)


@pytest.fixture
def photos(tmp_path: Path, save_photo: SavePhoto) -> Path:
    folder = tmp_path / "photos"
    for number in range(8):
        save_photo(folder / f"{number}.png", 120, 150, seed=number)
    return folder


@pytest.fixture
def request_(tmp_path: Path, photos: Path) -> ExportRequest:
    return ExportRequest(output=tmp_path / "out" / "model.tflite", calibration=photos)


def test_an_accepted_file_is_exact_and_its_report_says_all_of_it(
    loaded: LoadedModel, request_: ExportRequest, photos: Path
) -> None:
    export = export_model(loaded, request_)
    assert export.fidelity.mismatches == 0
    assert export.fidelity.psnr_to_float > 57.0
    assert max(map(abs, export.fidelity.colour_bias)) < 0.1
    assert export.fidelity.drop < 0.06
    report = json.loads(request_.output.with_suffix(".json").read_text())
    assert report["accepted"] is True
    assert report["sha256"] == sha256_file(request_.output)
    assert report["operators"] == {"CONV_2D": 8, "ADD": 1, "DEPTH_TO_SPACE": 1}
    calibration, verified = report["calibration"], report["verification"]
    assert calibration["crops"] == 18
    assert calibration["images"]["1"] == sha256_file(photos / "1.png")
    assert not set(calibration["images"]) & set(verified["names"])
    tensors = report["quantization"]["tensors"]
    assert (tensors["sr"]["scale"], tensors["sr"]["zero_point"]) == (1.0, -128)
    assert all(0 <= tensor["saturation"] <= 1 for tensor in tensors.values())
    metadata = json.loads(open_model(request_.output).metadata["edgesr"])
    assert metadata["calibration"] == calibration["digest"]
    assert (metadata["model"], metadata["scale"]) == ("ncnet", SCALE)


def test_the_same_request_gives_the_same_bytes(
    loaded: LoadedModel, request_: ExportRequest
) -> None:
    first = export_model(loaded, request_).content
    assert export_model(loaded, request_).content == first


def test_a_refused_file_is_kept_aside_and_the_old_one_stays(
    loaded: LoadedModel, request_: ExportRequest
) -> None:
    request_.output.parent.mkdir()
    request_.output.write_bytes(b"old")
    with pytest.raises(GateError, match=r"PSNR drops by .* kept as model\.tflite\.rejected"):
        export_model(loaded, replace(request_, max_drop=-1.0))
    assert request_.output.read_bytes() == b"old"
    rejected = request_.output.with_name("model.tflite.rejected")
    assert open_model(rejected).scale == SCALE
    report = json.loads(rejected.with_name("model.tflite.rejected.json").read_text())
    assert report["accepted"] is False
    assert not request_.output.with_suffix(".json").exists()


def test_a_file_that_differs_from_its_simulation_is_refused(
    loaded: LoadedModel, request_: ExportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgesr.export import precisions
    from edgesr.export.tflite import write_int8
    from edgesr.quant.scheme import QuantizedGraph

    def damaged(quantized: QuantizedGraph, **options: object) -> bytes:
        weight = quantized.weights["body.6"]
        other = replace(weight, bias=weight.bias + 400)
        weights = {**quantized.weights, "body.6": other}
        return write_int8(replace(quantized, weights=weights), **options)  # type: ignore[arg-type]

    monkeypatch.setattr(precisions, "write_int8", damaged)
    with pytest.raises(GateError, match=r"simulation differ in \d+ values, want 0"):
        export_model(loaded, request_)


def test_a_file_of_one_size_is_verified_as_well(
    loaded: LoadedModel, request_: ExportRequest
) -> None:
    export = export_model(loaded, replace(request_, shape=(36, 64), io="uint8"))
    assert export.fidelity.mismatches == 0
    assert open_model(request_.output).fixed_shape == (36, 64)


def test_a_float32_file_equals_the_network(loaded: LoadedModel, request_: ExportRequest) -> None:
    export = export_model(loaded, replace(request_, precision="float32"))
    assert export.fidelity.mismatches is None
    assert export.fidelity.drop == pytest.approx(0.0, abs=1e-3)
    assert open_model(request_.output).io == np.dtype(np.float32)


def test_the_challenge_triplet_holds_the_same_network(
    loaded: LoadedModel, request_: ExportRequest, photos: Path
) -> None:
    request = replace(request_, output=request_.output.with_name("net.tflite"))
    paths = write_challenge_files(export_model(loaded, request))
    assert [path.name for path in paths] == list(CHALLENGE_FILES)
    fixed, free, floating = (open_model(path) for path in paths)
    assert (fixed.fixed_shape, free.fixed_shape) == ((360, 640), None)
    assert (fixed.io, floating.io) == (np.dtype(np.uint8), np.dtype(np.float32))
    lr = np.ascontiguousarray(read_image(photos / "0.png")[:40, :50])
    wanted = open_model(request.output).upscale(lr)
    assert np.array_equal(free.upscale(lr), wanted)
    assert np.array_equal(floating.upscale(lr), wanted)


def test_a_run_calibrates_on_its_training_images_and_is_judged_on_its_held_out_ones(
    loaded: LoadedModel, photos: Path
) -> None:
    run = loaded.path.parent
    (run / "config.toml").write_text(f'data = "{photos}"\nscale = 3\n')
    (run / "data.json").write_text(json.dumps({"held_out": {"2": "", "5": ""}}))
    choice = choose_images(loaded.path, SCALE, calibration=None, held_out=None)
    assert [pair.name for pair in choice.held_out] == ["2", "5"]
    assert [pair.name for pair in choice.calibration] == ["0", "1", "3", "4", "6", "7"]


def test_images_that_judge_never_calibrate(loaded: LoadedModel, photos: Path) -> None:
    (photos / "9.png").write_bytes((photos / "0.png").read_bytes())
    choice = choose_images(loaded.path, SCALE, calibration=photos, held_out=None)
    assert not set(choice.calibration) & set(choice.held_out)
    with pytest.raises(DatasetError, match="no image is left to calibrate with"):
        choose_images(loaded.path, SCALE, calibration=photos, held_out=photos)


def test_a_damaged_run_record_is_named(loaded: LoadedModel) -> None:
    (loaded.path.parent / "config.toml").write_text("data = [")
    with pytest.raises(CheckpointError, match=r"config\.toml: cannot be read"):
        choose_images(loaded.path, SCALE, calibration=None, held_out=None)


def test_crops_equal_the_same_part_of_the_downscaled_image(
    photos: Path, loaded: LoadedModel
) -> None:
    choice = choose_images(loaded.path, 2, calibration=photos, held_out=None)
    crops = calibration_set(choice.calibration[:1], 2)
    whole = downscale(read_image(choice.calibration[0].hr), 2)
    for crop in crops.batches[0].inputs.byte().numpy():
        height, width = crop.shape[:2]
        places = [
            (top, left)
            for top in range(whole.shape[0] - height + 1)
            for left in range(whole.shape[1] - width + 1)
            if np.array_equal(whole[top : top + height, left : left + width], crop)
        ]
        assert places


def test_calibration_is_the_same_for_the_same_seed(photos: Path, loaded: LoadedModel) -> None:
    pairs = choose_images(loaded.path, 1, calibration=photos, held_out=None).calibration
    first, second = (calibration_set(pairs, 1, seed=4) for _ in range(2))
    assert first.digest == second.digest
    assert first.digest != calibration_set(pairs, 1, seed=5).digest


def test_images_without_room_for_a_crop_are_refused(
    tmp_path: Path, save_photo: SavePhoto, loaded: LoadedModel
) -> None:
    for number in range(3):
        save_photo(tmp_path / "tiny" / f"{number}.png", 30, 30, seed=number)
    choice = choose_images(loaded.path, SCALE, calibration=tmp_path / "tiny", held_out=None)
    with pytest.raises(DatasetError, match="low-resolution side is below 16 pixels"):
        calibration_set(choice.calibration, SCALE)


def test_an_output_that_cannot_be_written_is_named(
    loaded: LoadedModel, request_: ExportRequest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"model\.tflite: cannot be written"):
        export_model(loaded, replace(request_, output=tmp_path / "file" / "model.tflite"))


def test_a_run_with_its_low_resolution_elsewhere_calibrates_on_those_files(
    loaded: LoadedModel, tmp_path: Path, save_photo: SavePhoto
) -> None:
    for number in range(4):
        high = save_photo(tmp_path / "hr" / f"{number}.png", 60, 60, seed=number)
        write_image(tmp_path / "lr" / "X3" / high.name, downscale(read_image(high), SCALE))
    settings = f'data = "{tmp_path / "hr"}"\nlr_data = "{tmp_path / "lr"}"\n'
    (loaded.path.parent / "config.toml").write_text(settings)
    choice = choose_images(loaded.path, SCALE, calibration=None, held_out=None)
    assert {pair.lr is not None for pair in choice.calibration} == {True}
