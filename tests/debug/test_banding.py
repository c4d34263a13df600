"""Contours of coarse ramps are counted; noise, edges and what float shows too are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.debug.banding import banding, smooth_mask

Floats = NDArray[np.float32]


def ramp(slope: float = 0.2, width: int = 400) -> Floats:
    row = (60 + slope * np.arange(width)).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (64, width, 3)))


def coarse(image: Floats, bits: int) -> Floats:
    step = np.float32(2 ** (8 - bits))
    return np.asarray(np.rint(image / step) * step, np.float32)


def test_a_ramp_in_5_bits_bands_and_in_8_bits_does_not() -> None:
    fine = ramp()
    found = banding([fine], [coarse(fine, 5)])
    # N counts horizontal and vertical pairs, so that half of them see the slope
    assert found.int8 == pytest.approx(np.sqrt(0.2 * 8 / 2), rel=0.05)
    assert found.float_ == pytest.approx(np.sqrt(0.2 / 2), rel=0.02)
    assert found.excess == pytest.approx(found.int8 - found.float_)
    assert banding([fine], [coarse(fine, 8)]).excess == 0
    assert found.smooth > 0.85


def test_coarser_steps_score_higher_whatever_the_direction() -> None:
    fine = ramp()
    scores = [banding([fine], [coarse(fine, bits)]).excess for bits in (7, 6, 5, 4)]
    assert scores == sorted(scores)
    turned = np.ascontiguousarray(fine.transpose(1, 0, 2))
    assert banding([turned], [coarse(turned, 5)]).excess == pytest.approx(scores[2])


def test_noise_is_no_banding() -> None:
    fine = ramp()
    noise = np.random.default_rng(0).normal(0, 2, fine.shape).astype(np.float32)
    noisy = np.asarray(np.rint(fine + noise), np.float32)
    assert banding([fine], [noisy]).excess < 0.1


def test_edges_and_texture_are_not_smooth() -> None:
    edge = np.zeros((32, 32, 3), np.float32)
    edge[:, 16:] = 200
    assert not smooth_mask(edge)[:, 13:19].any()
    assert smooth_mask(edge)[3:-3, 3:13].all()
    noise = np.random.default_rng(0).uniform(0, 255, (32, 32, 3)).astype(np.float32)
    found = banding([noise], [np.asarray(np.rint(noise), np.float32)])
    assert (found.smooth, found.excess) == (0, 0)


def test_pictures_smaller_than_the_window_have_no_smooth_area() -> None:
    tiny = np.zeros((5, 40, 3), np.float32)
    assert banding([tiny], [tiny]).smooth == 0
