import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgesr.data.cache import DecodedImages, cache_root, decode_pairs
from edgesr.data.layouts import Dataset, find_dataset, read_pair
from edgesr.errors import ImageError, OutputError

Save = Callable[..., Path]


@pytest.fixture
def dataset(tmp_path: Path, save_photo: Save) -> Dataset:
    for index, (height, width) in enumerate([(24, 36), (31, 20), (12, 12)]):
        save_photo(tmp_path / "images" / f"{index}.png", height, width, seed=index)
    return find_dataset(tmp_path / "images", 2)


def decode(dataset: Dataset, root: Path) -> tuple[DecodedImages, list[int]]:
    """Return the images and how far each of them was decoded anew."""
    built: list[int] = []
    images = decode_pairs(
        dataset.pairs, 2, root=root, progress=lambda done, _total: built.append(done)
    )
    return images, built


def assert_equals_files(images: DecodedImages, dataset: Dataset) -> None:
    assert images.names == tuple(pair.name for pair in dataset.pairs)
    for pair, lr, hr in zip(dataset.pairs, images.lr, images.hr, strict=True):
        wanted_lr, wanted_hr = read_pair(pair, 2)
        np.testing.assert_array_equal(lr, wanted_lr)
        np.testing.assert_array_equal(hr, wanted_hr)


def test_cached_pixels_equal_the_files(dataset: Dataset, tmp_path: Path) -> None:
    images, built = decode(dataset, tmp_path / "cache")
    assert built == [1, 2, 3]
    assert_equals_files(images, dataset)
    assert len(set(images.sha256)) == 3


def test_a_second_call_decodes_nothing_and_sees_the_same(dataset: Dataset, tmp_path: Path) -> None:
    first, _ = decode(dataset, tmp_path / "cache")
    second, built = decode(dataset, tmp_path / "cache")
    assert built == []
    assert second.sha256 == first.sha256
    assert_equals_files(second, dataset)


def test_cached_pixels_cannot_be_changed_by_accident(dataset: Dataset, tmp_path: Path) -> None:
    images, _ = decode(dataset, tmp_path / "cache")
    with pytest.raises(ValueError, match="read-only"):
        images.lr[0][0, 0, 0] = 1


def test_a_changed_file_makes_a_new_cache(
    dataset: Dataset, tmp_path: Path, save_photo: Save
) -> None:
    old, _ = decode(dataset, tmp_path / "cache")
    path = save_photo(dataset.pairs[0].hr, 24, 36, seed=99)
    os.utime(path, ns=(1, 1))
    new, built = decode(dataset, tmp_path / "cache")
    assert built == [1, 2, 3]
    assert new.sha256[0] != old.sha256[0]
    assert new.sha256[1:] == old.sha256[1:]
    assert_equals_files(new, dataset)


def test_another_scale_has_another_cache(dataset: Dataset, tmp_path: Path) -> None:
    decode(dataset, tmp_path / "cache")
    images = decode_pairs(dataset.pairs, 3, root=tmp_path / "cache")
    assert images.scale == 3
    assert images.hr[1].shape == (30, 18, 3)


@pytest.mark.parametrize("lost", ["index.json", "pixels.bin"])
def test_a_half_built_cache_is_not_taken(dataset: Dataset, tmp_path: Path, lost: str) -> None:
    decode(dataset, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "pixels.bin").write_bytes(b"half")
    (folder / lost).unlink()
    images, built = decode(dataset, tmp_path / "cache")
    assert built == [1, 2, 3]
    assert_equals_files(images, dataset)


def test_a_truncated_cache_is_built_anew(dataset: Dataset, tmp_path: Path) -> None:
    decode(dataset, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    os.truncate(folder / "pixels.bin", 100)
    images, built = decode(dataset, tmp_path / "cache")
    assert built == [1, 2, 3]
    assert_equals_files(images, dataset)


def test_a_damaged_image_leaves_no_cache_behind(dataset: Dataset, tmp_path: Path) -> None:
    dataset.pairs[1].hr.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"1\.png: "):
        decode(dataset, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_names_the_setting(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file.*set EDGESR_CACHE to a folder with free space"):
        decode(dataset, tmp_path / "file" / "cache")


def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    monkeypatch.delenv("EDGESR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "edgesr"
