from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.data.cache import DecodedImages
from edgesr.data.patches import PatchSampler, dihedral
from edgesr.errors import DatasetError


def images(*sides: int, scale: int = 2) -> DecodedImages:
    """Images whose HR is the nearest enlargement of their LR, so that pairs can be checked."""
    random = np.random.default_rng(0)
    lr = tuple(random.integers(0, 256, (s, s + 3, 3), dtype=np.uint8) for s in sides)
    return DecodedImages(
        scale=scale,
        names=tuple(map(str, sides)),
        lr=lr,
        hr=tuple(enlarge(image, scale) for image in lr),
        sha256=("",) * len(sides),
    )


def enlarge(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    return image.repeat(scale, axis=-3).repeat(scale, axis=-2)


def sampler(**changes: object) -> PatchSampler:
    settings = {"images": images(16, 20), "patch_size": 8, "batch_size": 4, "seed": 1, **changes}
    return PatchSampler(**settings)  # type: ignore[arg-type]


def test_low_and_high_resolution_patches_are_aligned_under_every_symmetry() -> None:
    for step in range(50):
        lr, hr = sampler().batch(step)
        assert np.array_equal(enlarge(lr, 2), hr)


def test_a_batch_depends_on_seed_step_and_rank_alone() -> None:
    first = sampler().batch(3)[0]
    assert np.array_equal(first, sampler().batch(3)[0])
    for other in (sampler(seed=2), sampler(rank=1)):
        assert not np.array_equal(first, other.batch(3)[0])
    assert not np.array_equal(first, sampler().batch(4)[0])


def test_flips_and_rotations_are_uniform() -> None:
    corner = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    views = {dihedral(corner, k)[..., 0].tobytes(): k for k in range(8)}
    assert len(views) == 8
    base = np.arange(64, dtype=np.uint8).reshape(8, 8, 1).repeat(3, axis=2)
    one = DecodedImages(scale=1, names=("a",), lr=(base,), hr=(base,), sha256=("",))
    draws = PatchSampler(images=one, patch_size=8, batch_size=4000, seed=0).batch(0)[0]
    keys = {dihedral(base, k).tobytes(): k for k in range(8)}
    counts = Counter(keys[patch.tobytes()] for patch in draws)
    # chi-square with 7 degrees of freedom: 24.3 is passed by chance once in 1000
    assert sum((counts[k] - 500) ** 2 / 500 for k in range(8)) < 24.3


@pytest.mark.parametrize(("sampling", "expected"), [("image", 0.5), ("area", 0.1)])
def test_sampling_weighs_images_or_pixels(sampling: str, expected: float) -> None:
    black = np.zeros((8, 17, 3), np.uint8)
    white = np.full((17, 17, 3), 255, np.uint8)
    both = DecodedImages(
        scale=1, names=("a", "b"), lr=(black, white), hr=(black, white), sha256=("", "")
    )
    draws = PatchSampler(
        images=both,
        patch_size=8,
        batch_size=2000,
        seed=0,
        sampling=sampling,  # type: ignore[arg-type]
    ).batch(0)[0]
    assert np.mean(draws == 0) == pytest.approx(expected, abs=0.04)


def test_image_smaller_than_a_patch_is_named() -> None:
    with pytest.raises(
        DatasetError, match="16: low-resolution side is 19x16, smaller than a patch"
    ):
        sampler(patch_size=17)


def test_no_images_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no training images"):
        sampler(images=images())
