"""edgesr.data.jpeg: blocks, and what quality does."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.data.jpeg import jpeg_round_trip, to_uint8
from edgesr.errors import DataError

Photo = Callable[..., NDArray[np.uint8]]


def blockiness(image: NDArray[np.float32]) -> float:
    """Steps between columns at the borders of 8x8 blocks, over steps anywhere."""
    steps = np.abs(np.diff(image, axis=1)).mean(axis=(0, 2))
    at_border = np.arange(1, image.shape[1]) % 8 == 0
    return float(steps[at_border].mean() / steps.mean())


def test_quality_30_shows_blocks_of_8x8() -> None:
    slope = np.add.outer(50 + 0.3 * np.arange(64), 0.4 * np.arange(96))[..., None]
    image = slope.repeat(3, axis=-1).astype(np.float32)
    assert blockiness(image) == pytest.approx(1, abs=0.01)
    assert blockiness(jpeg_round_trip(image, 30)) > 2
    assert blockiness(jpeg_round_trip(image, 100)) < 1.2


def test_a_grey_change_stays_in_its_block(photo: Photo) -> None:
    image = photo(48, 64).astype(np.float32).mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    image = np.rint(image)
    changed = image.copy()
    changed[18, 26] += 60
    differs = (jpeg_round_trip(image, 30) != jpeg_round_trip(changed, 30)).any(axis=-1)
    assert differs[16:24, 24:32].any()
    differs[16:24, 24:32] = False
    assert not differs.any()


def test_lower_quality_is_farther_from_the_image(photo: Photo) -> None:
    image = photo(64, 64).astype(np.float32)
    errors = [np.square(jpeg_round_trip(image, q) - image).mean() for q in (95, 70, 50, 30, 5)]
    assert errors == sorted(errors)


def test_rounding_is_to_the_nearest_level_and_clips() -> None:
    levels = np.array([-3, 0.4, 0.6, 254.6, 300], np.float32)
    assert to_uint8(levels).tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_out_of_range_is_refused(quality: int) -> None:
    with pytest.raises(DataError, match=f"JPEG quality is {quality}, want 1 to 100"):
        jpeg_round_trip(np.zeros((8, 8, 3), np.float32), quality)
