import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesr.data.layouts import ImagePair
from edgesr.errors import ConfigError, DatasetError
from edgesr.images import read_image
from edgesr.imresize import downscale
from edgesr.train.config import TrainConfig
from edgesr.train.sources import data_digest, hold_out, training_images, write_manifest

Save = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, save_photo: Save) -> Path:
    for index in range(6):
        save_photo(tmp_path / "set" / f"{index}.png", seed=index)
    return tmp_path / "set"


def config(folder: Path | None, **changes: Any) -> TrainConfig:
    return TrainConfig(**{"data": folder, "scale": 2, "val_images": 2, **changes})


@pytest.mark.parametrize(("total", "count"), [(10, 1), (10, 3), (7, 6), (316, 8)])
def test_held_out_images_are_spread_and_never_trained_on(total: int, count: int) -> None:
    pairs = [ImagePair(name=f"{index:03}", hr=Path(f"{index}.png")) for index in range(total)]
    rest, held_out = hold_out(pairs, count)
    assert len(held_out) == count
    assert sorted([*rest, *held_out], key=lambda pair: pair.name) == pairs
    indices = [pairs.index(pair) for pair in held_out]
    gaps = [after - before for before, after in pairwise(indices)]
    assert all(total // count <= gap <= total // count + 1 for gap in gaps)


def test_holding_out_everything_is_refused() -> None:
    pairs = [ImagePair(name="a", hr=Path("a.png"))]
    with pytest.raises(DatasetError, match=r"1 images, but 1 are to be held out.*--val-images"):
        hold_out(pairs, 1)


def test_a_folder_is_split_and_described(folder: Path) -> None:
    images = training_images(config(folder))
    assert images.train.names == ("1", "2", "4", "5")
    assert images.held_out.names == ("0", "3")
    assert not images.is_demo
    assert "6 HR images" in images.description


def test_validation_images_may_lie_elsewhere(folder: Path, save_photo: Save) -> None:
    for index in range(3):
        save_photo(folder.parent / "val" / f"v{index}.png", seed=9)
    images = training_images(config(folder, val_data=folder.parent / "val"))
    assert len(images.train.names) == 6
    assert images.held_out.names == ("v0", "v1")


def test_large_images_are_trained_on_at_half_size_as_well(folder: Path, save_photo: Save) -> None:
    for index in (0, 4):
        save_photo(folder / f"{index}.png", 641, 650, seed=index)
    images = training_images(config(folder, halved=True))
    assert images.train.names == ("1", "2", "4", "5", "4//half")
    assert images.held_out.names == ("0", "3")
    assert images.held_out.hr[0].shape == (640, 650, 3)
    assert "6 HR images" in images.description
    assert images.description.endswith(", and 1 at half size")
    whole = read_image(folder / "4.png")
    half = downscale(whole[:640], 2)
    assert np.array_equal(images.train.hr[4], half[:, :324])
    assert np.array_equal(images.train.lr[4], downscale(half[:, :324], 2))
    assert len(training_images(config(folder)).train.names) == 4


def test_halves_that_cannot_be_had_are_refused(folder: Path, save_photo: Save) -> None:
    with pytest.raises(ConfigError, match="none of 4 images has sides of 640 pixels"):
        training_images(config(folder, halved=True))
    for index in range(6):
        save_photo(folder.parent / "low" / "X2" / f"{index}.png", 12, 18, seed=50 + index)
    with pytest.raises(ConfigError, match="do not go with the low-resolution files"):
        training_images(config(folder, lr_data=folder.parent / "low", halved=True))


def test_low_resolution_files_may_lie_elsewhere(folder: Path, save_photo: Save) -> None:
    for index in range(6):
        save_photo(folder.parent / "low" / "X2" / f"{index}.png", 12, 18, seed=50 + index)
    made = training_images(config(folder))
    read = training_images(config(folder, lr_data=folder.parent / "low"))
    assert (read.train.lr[0] != made.train.lr[0]).any()
    assert (read.train.hr[0] == made.train.hr[0]).all()


def test_without_data_the_demo_photographs_are_taken() -> None:
    pytest.importorskip("skimage", reason="the demo photographs come with scikit-image")
    images = training_images(config(None, scale=4, val_images=1))
    assert images.is_demo
    assert "demo" in images.description.lower()


def test_the_digest_follows_the_pixels(folder: Path, save_photo: Save) -> None:
    before = data_digest(training_images(config(folder)).train)
    assert data_digest(training_images(config(folder)).train) == before
    save_photo(folder / "1.png", seed=77)
    assert data_digest(training_images(config(folder)).train) != before


def test_the_manifest_names_every_image_of_the_run(folder: Path, tmp_path: Path) -> None:
    images = training_images(config(folder))
    write_manifest(tmp_path, images)
    manifest = json.loads((tmp_path / "data.json").read_text())
    assert manifest["demo"] is False
    assert list(manifest["train"]) == ["1", "2", "4", "5"]
    assert manifest["held_out"] == dict(
        zip(images.held_out.names, images.held_out.sha256, strict=True)
    )
