"""The worst places and their pictures."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from edgesr.debug.crops import heat_map, heat_peak, png_uri, worst_crops


def test_the_worst_places_come_first_and_do_not_overlap() -> None:
    floats = [np.full((200, 240, 3), 100, np.float32) for _ in range(2)]
    int8s = [one.copy() for one in floats]
    int8s[1][120:150, 130:160] += 9
    int8s[0][10:20, 10:20, 1] += 4
    found = worst_crops(floats, int8s, count=3)
    assert (found[0].image, found[0].max_error) == (1, 9.0)
    first = found[0]
    assert 160 - first.width <= first.left <= 130
    assert 150 - first.height <= first.top <= 120
    assert (found[1].image, found[1].max_error) == (0, 4.0)
    error = first.cut(int8s[1]) - first.cut(floats[1])
    assert first.psnr == pytest.approx(10 * np.log10(255**2 / np.square(error).mean()))
    same = [one for one in worst_crops(floats, int8s, count=9) if one.image == 1]
    for index, a in enumerate(same):
        for b in same[index + 1 :]:
            assert abs(a.left - b.left) >= 96 or abs(a.top - b.top) >= 96


def test_pictures_smaller_than_a_crop_are_taken_whole() -> None:
    picture = np.zeros((40, 50, 3), np.float32)
    (found,) = worst_crops([picture], [picture + 1], count=4)
    assert (found.width, found.height) == (50, 40)


def test_the_heat_map_runs_from_black_over_red_and_yellow_to_white() -> None:
    fine = np.zeros((1, 4, 3), np.float32)
    coarse = fine.copy()
    coarse[0, :, 2] = [0, 2, 4, 6]
    heat = heat_map(fine, coarse, peak=6)
    assert heat[0].tolist() == [[0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255]]


def test_one_value_in_1000_is_beyond_the_peak() -> None:
    error = np.zeros((100, 100, 3), np.float32)
    error[:50, :, 1] = -2.4
    error[0, :5, 0] = 90
    assert heat_peak([error]) == 3
    assert heat_peak([np.zeros((8, 8, 3), np.float32)]) == 1
    assert heat_peak([]) == 1


def test_a_data_uri_holds_the_rounded_picture() -> None:
    picture = np.random.default_rng(0).uniform(-3, 258, (5, 7, 3)).astype(np.float32)
    kind, data = png_uri(picture).split(",")
    assert kind == "data:image/png;base64"
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert np.array_equal(decoded, np.rint(picture).clip(0, 255))
