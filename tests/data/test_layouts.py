from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.data.layouts import Dataset, find_dataset, read_pair
from edgesr.errors import DatasetError, ImageError
from edgesr.images import read_image
from edgesr.imresize import downscale, modcrop

Save = Callable[..., Path]


def names(dataset: Dataset) -> list[str]:
    return [pair.name for pair in dataset.pairs]


def div2k(root: Path, save: Save, scale: int = 3) -> None:
    for name in ("0001", "0002"):
        save(root / "DIV2K_train_HR" / f"{name}.png", 24, 36)
        low = root / "DIV2K_train_LR_bicubic" / f"X{scale}" / f"{name}x{scale}.png"
        save(low, 24 // scale, 36 // scale)


@pytest.mark.parametrize("named", ["", "DIV2K_train_HR"])
def test_div2k_pairs_are_found_from_the_set_and_from_its_hr_folder(
    tmp_path: Path, save_photo: Save, named: str
) -> None:
    div2k(tmp_path, save_photo)
    save_photo(tmp_path / "DIV2K_valid_HR" / "0801.png")
    dataset = find_dataset(tmp_path / named, 3)
    assert names(dataset) == ["0001", "0002"]
    low = tmp_path / "DIV2K_train_LR_bicubic" / "X3"
    assert [pair.lr for pair in dataset.pairs] == [low / "0001x3.png", low / "0002x3.png"]
    assert dataset.describe().startswith("DIV2K layout: 2 HR + 2 LR x3 pairs in ")
    assert ("DIV2K_valid_HR left out" in dataset.describe()) == (not named)


def test_div2k_without_low_resolution_for_that_scale_has_it_made(
    tmp_path: Path, save_photo: Save
) -> None:
    div2k(tmp_path, save_photo, scale=3)
    dataset = find_dataset(tmp_path, 4)
    assert all(pair.lr is None for pair in dataset.pairs)
    assert "LR x4 made by bicubic downscaling" in dataset.describe()


def test_several_sets_in_one_folder_must_be_told_apart(tmp_path: Path, save_photo: Save) -> None:
    save_photo(tmp_path / "DIV2K_train_HR" / "a.png")
    save_photo(tmp_path / "LSDIR_train_HR" / "a.png")
    with pytest.raises(DatasetError, match="DIV2K_train_HR, LSDIR_train_HR"):
        find_dataset(tmp_path, 3)


@pytest.mark.parametrize(
    ("hr", "lr", "scale"),
    [
        ("HR/baby.png", "LR_bicubic/X3/babyx3.png", 3),
        ("HR/baby.png", "LR_bicubic/X2/baby.png", 2),
        ("GTmod12/baby.png", "LRbicx4/baby.png", 4),
        ("baby.png", "X3/baby.png", 3),
        ("baby.jpg", "X3/babyx3.png", 3),
    ],
)
def test_pairs_of_every_layout_are_found(
    tmp_path: Path, save_photo: Save, hr: str, lr: str, scale: int
) -> None:
    save_photo(tmp_path / hr, 24, 36)
    save_photo(tmp_path / lr, 24 // scale, 36 // scale)
    dataset = find_dataset(tmp_path, scale)
    (pair,) = dataset.pairs
    assert (pair.name, pair.hr, pair.lr) == ("baby", tmp_path / hr, tmp_path / lr)
    low, high = read_pair(pair, scale)
    assert high.shape == (24, 36, 3)
    assert low.shape == (24 // scale, 36 // scale, 3)


def test_a_tree_of_images_is_taken_whole_and_hidden_files_are_not(
    tmp_path: Path, save_photo: Save
) -> None:
    for place in ("a.png", "portraits/a.png", "portraits/deep/b.jpg", ".trash/c.png", ".d.png"):
        save_photo(tmp_path / place)
    (tmp_path / "notes.txt").write_text("not an image")
    assert names(find_dataset(tmp_path, 3)) == ["a", "portraits/a", "portraits/deep/b"]


def test_equal_stems_keep_their_suffix_as_name(tmp_path: Path, save_photo: Save) -> None:
    save_photo(tmp_path / "a.png")
    save_photo(tmp_path / "a.jpg")
    assert names(find_dataset(tmp_path, 3)) == ["a.jpg", "a.png"]


def test_low_resolution_beside_the_images_is_never_training_data(
    tmp_path: Path, save_photo: Save
) -> None:
    save_photo(tmp_path / "a.png", 24, 36)
    save_photo(tmp_path / "X3" / "a.png", 8, 12)
    dataset = find_dataset(tmp_path, 2)
    assert names(dataset) == ["a"]
    assert dataset.pairs[0].lr is None


@pytest.mark.parametrize("below", ["", "X3", "LR_bicubic/X3", "LRbicx3"])
def test_low_resolution_may_lie_elsewhere(tmp_path: Path, save_photo: Save, below: str) -> None:
    save_photo(tmp_path / "hr" / "a.png", 24, 36)
    low = save_photo(tmp_path / "elsewhere" / below / "a.png", 8, 12)
    dataset = find_dataset(tmp_path / "hr", 3, lr_root=tmp_path / "elsewhere")
    assert dataset.pairs[0].lr == low


def test_a_missing_or_empty_folder_is_named(tmp_path: Path, save_photo: Save) -> None:
    with pytest.raises(DatasetError, match="gone: does not exist; want a folder"):
        find_dataset(tmp_path / "gone", 3)
    with pytest.raises(DatasetError, match=r"a\.png: is a file; want a folder"):
        find_dataset(save_photo(tmp_path / "files" / "a.png"), 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty: no images in it; want files that end in"):
        find_dataset(tmp_path / "empty", 3)
    with pytest.raises(DatasetError, match="no_lr: does not exist"):
        find_dataset(tmp_path / "files", 3, lr_root=tmp_path / "no_lr")


def test_images_without_their_pair_are_named(tmp_path: Path, save_photo: Save) -> None:
    hr = save_photo(tmp_path / "HR" / "a.png", 24, 36)
    (tmp_path / "LR_bicubic" / "X3").mkdir(parents=True)
    with pytest.raises(DatasetError, match=f"no LR image for {hr}; want one file a.png or a"):
        find_dataset(tmp_path, 3)
    save_photo(tmp_path / "LR_bicubic/X3/a.png", 8, 12)
    save_photo(tmp_path / "LR_bicubic/X3/ax3.png", 8, 12)
    with pytest.raises(DatasetError, match="both a and ax3"):
        find_dataset(tmp_path, 3)


def test_low_resolution_left_over_is_an_error(tmp_path: Path, save_photo: Save) -> None:
    save_photo(tmp_path / "HR" / "a.png", 24, 36)
    save_photo(tmp_path / "LR_bicubic/X3/a.png", 8, 12)
    save_photo(tmp_path / "LR_bicubic/X3/b.png", 8, 12)
    with pytest.raises(DatasetError, match=r"b\.png: no HR image of that name \(1 such files\)"):
        find_dataset(tmp_path, 3)


def test_low_resolution_of_another_scale_is_an_error(tmp_path: Path, save_photo: Save) -> None:
    save_photo(tmp_path / "hr" / "a.png")
    save_photo(tmp_path / "low" / "X2" / "a.png")
    with pytest.raises(DatasetError, match="has X2, but no folder X3"):
        find_dataset(tmp_path / "hr", 3, lr_root=tmp_path / "low")


def test_a_low_resolution_folder_inside_a_tree_is_not_swallowed(
    tmp_path: Path, save_photo: Save
) -> None:
    save_photo(tmp_path / "gt" / "a.png")
    save_photo(tmp_path / "LR" / "a.png")
    with pytest.raises(DatasetError, match="LR: holds low-resolution images by its name"):
        find_dataset(tmp_path, 3)


def test_made_low_resolution_is_the_bicubic_of_the_cropped_image(
    tmp_path: Path, photo: Callable[..., NDArray[np.uint8]], save_photo: Save
) -> None:
    save_photo(tmp_path / "a.png", 25, 38)
    low, high = read_pair(find_dataset(tmp_path, 3).pairs[0], 3)
    whole = photo(25, 38)
    np.testing.assert_array_equal(high, whole[:24, :36])
    np.testing.assert_array_equal(low, downscale(modcrop(whole, 3), 3))


def test_sizes_that_do_not_fit_name_both_files(tmp_path: Path, save_photo: Save) -> None:
    hr = save_photo(tmp_path / "HR" / "a.png", 24, 36)
    lr = save_photo(tmp_path / "LR_bicubic/X3/a.png", 12, 18)
    (pair,) = find_dataset(tmp_path, 3).pairs
    message = f"{lr}: low-resolution image of 18x12 does not fit {hr} of 36x24; want 12x8 for x3"
    with pytest.raises(DatasetError, match=message):
        read_pair(pair, 3)


def test_an_image_smaller_than_the_scale_is_named(tmp_path: Path, save_photo: Save) -> None:
    save_photo(tmp_path / "a.png", 2, 36)
    with pytest.raises(DatasetError, match=r"a\.png: image of 36x2 is too small for x3"):
        read_pair(find_dataset(tmp_path, 3).pairs[0], 3)


def test_a_damaged_image_is_named(tmp_path: Path, save_photo: Save) -> None:
    path = save_photo(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"a\.png: "):
        read_pair(find_dataset(tmp_path, 3).pairs[0], 3)


def test_published_low_resolution_of_set5_equals_what_is_made(shared_data: Path) -> None:
    published = find_dataset(
        shared_data / "eval" / "Set5", 3, lr_root=shared_data / "eval_lr" / "Set5"
    )
    assert len(published.pairs) == 5
    for pair in published.pairs:
        low, high = read_pair(pair, 3)
        np.testing.assert_array_equal(low, downscale(high, 3))
        assert pair.lr is not None
        np.testing.assert_array_equal(low, read_image(pair.lr))
