"""``edgesr train --degradation real_esrgan``: resumes to the same bits, refused with given LR."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgesr.cli import run
from edgesr.imresize import downscale
from edgesr.train.config import TrainConfig
from edgesr.train.run import go, open_run
from edgesr.train.sources import training_images

Save = Callable[..., Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The same bits are promised for the same number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path, save_photo: Save) -> Path:
    for index in range(4):
        save_photo(tmp_path / "set" / f"{index}.png", 60, 72, seed=index)
    return tmp_path / "set"


def config(folder: Path, **changes: Any) -> TrainConfig:
    settings = {
        "data": folder,
        "runs": folder.parent / "runs",
        "name": "r",
        "scale": 2,
        "steps": 3,
        "batch_size": 2,
        "patch_size": 8,
        "val_images": 1,
        "save_every": 1,
        "log_every": 1,
        "precision": "fp32",
        "degradation": "real_esrgan",
        **changes,
    }
    return TrainConfig(**settings)


def test_three_steps_resume_to_the_same_bits(folder: Path) -> None:
    whole = go(open_run(config(folder, name="whole"))).folder

    class StoppedError(Exception):
        pass

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "train" and event["step"] == 2:
            raise StoppedError

    parts = config(folder, name="parts")
    opened = open_run(parts)
    with pytest.raises(StoppedError):
        go(opened, listen=stop)
    result = go(open_run(parts, resume=opened.folder))
    assert result.step == 3
    for name in ("last.safetensors", "best.safetensors"):
        assert (opened.folder / name).read_bytes() == (whole / name).read_bytes()
    other = go(open_run(config(folder, name="plain", degradation="bicubic"))).folder
    assert (other / "last.safetensors").read_bytes() != (whole / "last.safetensors").read_bytes()


def test_the_run_says_how_low_resolution_was_made(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--name", "r", "--scale", "2", "--steps", "1", "--batch-size", "1"]
    flags += ["--patch-size", "8", "--val-images", "1"]
    place = ["--data", str(folder), "--runs", str(folder.parent / "runs")]
    assert run(["train", *flags, *place, "--degradation", "real_esrgan"]) == 0
    assert "LR x2 made by degradation real_esrgan" in capsys.readouterr().err
    saved = tomllib.loads((folder.parent / "runs" / "r" / "config.toml").read_text())
    assert saved["degradation"] == "real_esrgan"
    resume = ["train", "--resume", str(folder.parent / "runs" / "r")]
    assert run([*resume, "--degradation", "bicubic"]) == 3
    assert "degradation is 'real_esrgan', but 'bicubic'" in capsys.readouterr().err


def test_held_out_images_are_degraded_the_same_way_in_every_run(folder: Path) -> None:
    first = training_images(config(folder, seed=1)).held_out
    second = training_images(config(folder, seed=2)).held_out
    np.testing.assert_array_equal(first.lr[0], second.lr[0])
    assert not np.array_equal(first.lr[0], downscale(np.asarray(first.hr[0]), 2))
    assert first.lr[0].shape == (30, 36, 3)


def test_low_resolution_files_of_the_validation_set_are_kept(
    folder: Path, save_photo: Save
) -> None:
    val = folder.parent / "val"
    save_photo(val / "HR" / "v.png", 20, 24)
    given = save_photo(val / "LR_bicubic" / "X2" / "vx2.png", 10, 12, seed=8)
    from edgesr.images import read_image

    held_out = training_images(config(folder, val_data=val)).held_out
    np.testing.assert_array_equal(held_out.lr[0], read_image(given))


def test_data_with_its_own_low_resolution_is_refused(
    folder: Path, save_photo: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(4):
        save_photo(folder / "X2" / f"{index}.png", 30, 36)
    place = ["--data", str(folder), "--runs", str(folder.parent / "runs"), "--scale", "2"]
    assert run(["train", *place, "--degradation", "real_esrgan"]) == 3
    error = capsys.readouterr().err
    assert "come with low-resolution files, which it would not use" in error
    assert not (folder.parent / "runs").exists()


def test_an_unknown_degradation_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--degradation", "bsrgan", "--dry-run"]) == 2
    assert "degradation" in capsys.readouterr().err
