"""Upscaling photographs from file to file: names, safety, transparency, grey, metadata."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgesr.errors import ImageError, OutputError, UsageError
from edgesr.images import Picture, read_picture
from edgesr.imresize import upscale_bicubic
from edgesr.upscalers.bicubic import BicubicUpscaler
from edgesr.upscalers.photos import (
    Job,
    Naming,
    check_job,
    plan_jobs,
    upscale_file,
    upscale_picture,
)

Photo = Callable[..., NDArray[np.uint8]]
SavePhoto = Callable[..., Path]
BICUBIC = BicubicUpscaler(scale=3)
NAMING = Naming(suffix="_x3")


def test_results_lie_beside_the_inputs_by_default(tmp_path: Path, save_photo: SavePhoto) -> None:
    source = save_photo(tmp_path / "photo.jpg")
    jobs = plan_jobs([source], NAMING)
    assert jobs == [Job(source=source, target=tmp_path / "photo_x3.png")]


def test_one_input_may_name_its_output_file(tmp_path: Path) -> None:
    naming = Naming(output=tmp_path / "big.webp", suffix="_x3")
    jobs = plan_jobs([tmp_path / "photo.jpg"], naming)
    assert [job.target for job in jobs] == [tmp_path / "big.webp"]


def test_several_inputs_go_into_a_folder(tmp_path: Path, save_photo: SavePhoto) -> None:
    folder = save_photo(tmp_path / "in" / "b.png").parent
    single = save_photo(tmp_path / "a.png")
    naming = Naming(output=tmp_path / "out", suffix="", ext=".webp")
    targets = [job.target for job in plan_jobs([single, folder], naming)]
    assert targets == [tmp_path / "out" / "a.webp", tmp_path / "out" / "b.webp"]
    with pytest.raises(UsageError, match="is one file for several inputs; give a folder"):
        plan_jobs([single, folder], Naming(output=tmp_path / "big.png", suffix=""))


def test_results_of_an_earlier_run_in_a_folder_are_left_out(
    tmp_path: Path, save_photo: SavePhoto
) -> None:
    save_photo(tmp_path / "a.png")
    save_photo(tmp_path / "a_x3.png")
    save_photo(tmp_path / "other_x3.png")
    names = [job.source.name for job in plan_jobs([tmp_path], NAMING)]
    assert names == ["a.png", "other_x3.png"]


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no input"):
        plan_jobs([], NAMING)
    with pytest.raises(ImageError, match="no images in this folder"):
        plan_jobs([tmp_path], NAMING)


def test_inputs_and_existing_files_are_safe(tmp_path: Path, save_photo: SavePhoto) -> None:
    source = save_photo(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(source)
    for target in (source, tmp_path / "link.png"):
        job = Job(source=source, target=target)
        with pytest.raises(OutputError, match="is an input and is not overwritten"):
            check_job(job, [job], overwrite=True)
    existing = Job(source=source, target=save_photo(tmp_path / "a_x3.png"))
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        check_job(existing, [existing], overwrite=False)
    check_job(existing, [existing], overwrite=True)


def test_two_inputs_never_write_one_file(tmp_path: Path, save_photo: SavePhoto) -> None:
    inputs = [save_photo(tmp_path / "a.jpg"), save_photo(tmp_path / "a.png")]
    jobs = plan_jobs(inputs, NAMING)
    check_job(jobs[0], jobs, overwrite=True)
    with pytest.raises(OutputError, match=r"already written for .*a\.jpg"):
        check_job(jobs[1], jobs, overwrite=True)


def test_an_unknown_format_is_refused_before_work(tmp_path: Path) -> None:
    job = Job(source=tmp_path / "a.png", target=tmp_path / "a.xyz")
    with pytest.raises(ImageError, match=r"cannot write suffix '\.xyz'"):
        check_job(job, [job], overwrite=False)


def test_transparency_is_upscaled_by_bicubic_and_kept(photo: Photo) -> None:
    picture = Picture(rgb=photo(8, 9), alpha=photo(8, 9)[..., 0], icc=b"icc", exif=b"exif")
    result = upscale_picture(picture, BICUBIC)
    assert result.alpha is not None
    assert picture.alpha is not None
    np.testing.assert_array_equal(result.alpha, upscale_bicubic(picture.alpha, 3))
    np.testing.assert_array_equal(result.rgb, upscale_bicubic(picture.rgb, 3))
    assert (result.icc, result.exif) == (b"icc", b"exif")


def test_transparency_is_refused_by_a_format_without_it(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (1, 2, 3, 4)).save(tmp_path / "a.png")
    job = Job(source=tmp_path / "a.png", target=tmp_path / "b.jpg")
    with pytest.raises(ImageError, match=r"has transparency, which \.jpg cannot hold; use --ext"):
        upscale_file(job, BICUBIC)
    assert not job.target.exists()


@pytest.mark.parametrize("keep_grey", [True, False])
def test_grey_stays_grey_unless_told_otherwise(
    tmp_path: Path, photo: Photo, *, keep_grey: bool
) -> None:
    grey = photo(8, 9)[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    job = Job(source=tmp_path / "a.png", target=tmp_path / "b.png")
    upscale_file(job, BICUBIC, keep_grey=keep_grey)
    with Image.open(job.target) as image:
        assert image.mode == ("L" if keep_grey else "RGB")
    np.testing.assert_array_equal(read_picture(job.target).rgb[..., 0], upscale_bicubic(grey, 3))


def test_grey_is_the_mean_of_the_channels(photo: Photo) -> None:
    class Tinted(BicubicUpscaler):
        def __call__(self, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return np.broadcast_to(np.array([250, 251, 253], np.uint8), (lr.shape[0] * 3, 27, 3))

    picture = Picture(rgb=photo(8, 9), grey=True)
    assert (upscale_picture(picture, Tinted(scale=3)).rgb == 251).all()


def test_orientation_and_sizes_of_a_turned_photograph(tmp_path: Path, photo: Photo) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(8, 12)).save(tmp_path / "a.png", exif=exif)
    job = Job(source=tmp_path / "a.png", target=tmp_path / "b.png")
    result = upscale_file(job, BICUBIC)
    assert (result.size_in, result.size_out) == ((8, 12), (24, 36))
    assert read_picture(job.target).rgb.shape == (36, 24, 3)
