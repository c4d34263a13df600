"""edgesr.perception.seeds."""

import math

import numpy as np
import pytest

from edgesr.errors import DataError
from edgesr.metrics import measure
from edgesr.perception.seeds import diversity, psnr_at_equal_noise


def test_diversity_is_the_deviation_over_seeds_not_over_pixels() -> None:
    picture = np.random.default_rng(0).integers(50, 200, (1, 20, 30, 3))
    same = picture.repeat(5, axis=0).astype(np.uint8)
    assert diversity(same) == 0
    two = np.concatenate([picture - 3, picture + 3]).astype(np.uint8)
    assert diversity(two) == pytest.approx(6 / math.sqrt(2))
    noise = np.random.default_rng(1).normal(0, 10, (40, 20, 30, 3))
    assert diversity(np.rint(128 + noise).astype(np.uint8)) == pytest.approx(10, rel=0.02)


def test_psnr_at_equal_noise_is_the_mean_over_pairs() -> None:
    random = np.random.default_rng(2)
    wanted = random.integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    found = np.clip(wanted.astype(int) + random.integers(-9, 10, wanted.shape), 0, 255)
    samples = found.astype(np.uint8)
    scores = [
        measure(a, b, scale=1, protocol="mai").psnr for a, b in zip(samples, wanted, strict=True)
    ]
    assert psnr_at_equal_noise(samples, wanted) == pytest.approx(np.mean(scores))
    assert psnr_at_equal_noise(wanted, wanted) == math.inf
    assert psnr_at_equal_noise(samples, np.roll(wanted, 1, axis=0)) < 12


def test_what_cannot_be_compared_is_refused() -> None:
    stack = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(DataError, match="at least 2 seeds"):
        diversity(stack[:1])
    with pytest.raises(DataError, match=r"want uint8 \(n, h, w, 3\)"):
        diversity(stack[0])
    with pytest.raises(DataError, match="want equal shapes"):
        psnr_at_equal_noise(stack, stack[:1])
