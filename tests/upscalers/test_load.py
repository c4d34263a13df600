"""Which names and paths stand for an upscaler, and how an image is run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.errors import CheckpointError, DataError, UsageError
from edgesr.imresize import upscale_bicubic
from edgesr.upscalers import load_upscaler, upscale_image
from edgesr.zoo import ZOO

Photo = Callable[..., NDArray[np.uint8]]


def test_bicubic_is_an_upscaler(photo: Photo) -> None:
    upscaler = load_upscaler("bicubic", scale=3)
    assert (upscaler.name, upscaler.scale) == ("bicubic", 3)
    np.testing.assert_array_equal(upscaler(photo(9, 12)), upscale_bicubic(photo(9, 12), 3))
    with pytest.raises(UsageError, match="give --scale"):
        load_upscaler("bicubic")


@pytest.mark.parametrize("name", ZOO)
def test_every_shipped_model_runs(name: str, photo: Photo) -> None:
    if not ZOO[name].runs.is_file():
        pytest.skip("this checkout ships no trained weights yet")
    upscaler = load_upscaler(name)
    lr = photo(40, 55)
    sr = upscaler(lr)
    assert upscaler.name.startswith(name)
    assert sr.shape == (40 * ZOO[name].scale, 55 * ZOO[name].scale, 3)
    is_denoiser = ZOO[name].is_denoiser
    tiled = upscale_image(upscaler, lr, tile=48 if is_denoiser else 32)  # above twice the border
    if is_denoiser:  # float convolutions order their sums by the size of the image
        assert np.abs(tiled.astype(int) - sr.astype(int)).max() <= 1
    else:
        np.testing.assert_array_equal(tiled, sr)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.tflite").write_text("x")
    with pytest.raises(
        CheckpointError, match="nothing: no such model or file; name one of bicubic"
    ):
        load_upscaler("nothing")
    with pytest.raises(CheckpointError, match=r"is no model file, want a run folder, \.tflite"):
        load_upscaler(tmp_path / "a.txt")
    with pytest.raises(CheckpointError, match="damaged"):
        load_upscaler(tmp_path / "a.tflite")
    with pytest.raises(CheckpointError, match="no weights there"):
        load_upscaler(tmp_path)


def test_a_negative_tile_is_refused(photo: Photo) -> None:
    with pytest.raises(DataError, match="tile is -1"):
        upscale_image(load_upscaler("bicubic", scale=2), photo(8, 8), tile=-1)
