"""edgesr.data.degradation: the chain as a whole, and the patches that it makes."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.data.cache import DecodedImages
from edgesr.data.degradation import DEGRADATIONS, bicubic, degrade
from edgesr.data.degradation_settings import RealEsrganSettings, StageSettings
from edgesr.data.patches import PatchSampler
from edgesr.errors import ConfigError, DataError
from edgesr.imresize import downscale

Photo = Callable[..., NDArray[np.uint8]]
CALM = StageSettings(
    blur_probability=0,
    resize_probabilities=(0, 0, 1),
    gaussian_probability=1,
    noise_sigma=(0, 0),
    jpeg_quality=(100, 100),
)


def calm_but(round_: str, stage: StageSettings) -> RealEsrganSettings:
    """A chain that does nothing but what ``stage`` does in one round."""
    first, second = (stage, CALM) if round_ == "first" else (CALM, stage)
    return RealEsrganSettings(first=first, second=second, final_sinc_probability=0)


CALM_CHAIN = RealEsrganSettings(first=CALM, second=CALM, final_sinc_probability=0)


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())


def fine_energy(image: NDArray[np.uint8]) -> float:
    return float(np.square(np.diff(image.astype(np.float64), axis=1)).mean())


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", DEGRADATIONS)
def test_low_resolution_has_its_size_for_every_seed(name: str, scale: int, photo: Photo) -> None:
    hr = photo(17 * scale, 22 * scale)
    for seed in range(8):
        lr = DEGRADATIONS[name](hr, scale, seed)
        assert lr.shape == (17, 22, 3)
        assert lr.dtype == np.uint8


def test_the_smallest_image_survives_every_chain() -> None:
    for seed in range(40):
        assert degrade(np.full((3, 3, 3), 9, np.uint8), 3, seed).shape == (1, 1, 3)


def test_bicubic_is_the_downscaling_of_the_benchmarks(photo: Photo) -> None:
    hr = photo(30, 48)
    for seed in (0, 7):
        np.testing.assert_array_equal(bicubic(hr, 3, seed), downscale(hr, 3))


def test_seed_and_image_alone_decide_in_any_order_and_process(photo: Photo) -> None:
    hr = photo(48, 60)
    there = [degrade(hr, 2, seed).tobytes() for seed in range(6)]
    back = [degrade(hr, 2, seed).tobytes() for seed in reversed(range(6))]
    assert back[::-1] == there
    assert len(set(there)) == 6
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        elsewhere = list(other.map(degrade, [hr] * 6, [2] * 6, range(6)))
    assert [lr.tobytes() for lr in elsewhere] == there


def test_the_image_is_left_as_it_was(photo: Photo) -> None:
    hr = photo(48, 60)
    before = hr.copy()
    degrade(hr, 2, 5)
    np.testing.assert_array_equal(hr, before)


def test_a_chain_with_everything_off_only_resizes(photo: Photo) -> None:
    hr = photo(48, 64)
    grey = hr.mean(axis=-1, keepdims=True).round().astype(np.uint8).repeat(3, axis=-1)
    assert distance(degrade(grey, 1, 0, CALM_CHAIN), grey) < 1
    shrunk = degrade(grey, 2, 0, CALM_CHAIN)
    blocks = grey.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    assert distance(shrunk, blocks.astype(np.uint8)) < 4


@pytest.mark.parametrize("round_", ["first", "second"])
def test_blur_takes_fine_detail_away(round_: str, photo: Photo) -> None:
    blurs = replace(CALM, blur_probability=1.0, sinc_probability=0.0, blur_sigma=(2.0, 2.0))
    settings = calm_but(round_, blurs)
    hr = photo(48, 64)
    assert fine_energy(degrade(hr, 1, 3, settings)) < 0.5 * fine_energy(hr)


@pytest.mark.parametrize("round_", ["first", "second"])
def test_noise_has_the_strength_that_was_asked_for(round_: str) -> None:
    settings = calm_but(round_, replace(CALM, noise_sigma=(10, 10), grey_probability=1))
    flat = np.full((128, 128, 3), 128, np.uint8)
    deviations = [degrade(flat, 1, seed, settings)[..., 1].std() for seed in range(4)]
    assert np.mean(deviations) == pytest.approx(10, rel=0.1)
    calm = degrade(flat, 1, 0, CALM_CHAIN)
    assert calm.std() < 0.5


def test_low_jpeg_quality_moves_the_image(photo: Photo) -> None:
    hr = photo(48, 64)
    poor = replace(CALM_CHAIN, second=replace(CALM, jpeg_quality=(30, 30)))
    assert distance(degrade(hr, 1, 0, poor), hr) > 1.5 * distance(degrade(hr, 1, 0, CALM_CHAIN), hr)


def test_the_result_is_still_that_picture(photo: Photo) -> None:
    hr = photo(60, 80)
    clean = downscale(hr, 2).astype(np.float64)
    near = [np.corrcoef(degrade(hr, 2, s).ravel(), clean.ravel())[0, 1] for s in range(20)]
    assert np.median(near) > 0.4
    assert np.max(near) > 0.8


def test_what_cannot_be_degraded_is_refused(photo: Photo) -> None:
    hr = photo(48, 60)
    with pytest.raises(DataError, match="60x48 is not divisible by 5"):
        degrade(hr, 5, 0)
    with pytest.raises(DataError, match="float32 of shape"):
        degrade(hr.astype(np.float32), 2, 0)
    with pytest.raises(DataError, match=r"uint8 \(h, w, 3\)"):
        degrade(hr[..., 0], 2, 0)


def sampler(photo: Photo, degradation: str, **changes: object) -> PatchSampler:
    hr = tuple(photo(96, 120, seed) for seed in range(2))
    images = DecodedImages(
        scale=2,
        names=("a", "b"),
        lr=tuple(downscale(image, 2) for image in hr),
        hr=hr,
        sha256=("", ""),
    )
    settings = {"patch_size": 16, "batch_size": 3, "seed": 4, "degradation": degradation, **changes}
    return PatchSampler(images=images, **settings)  # type: ignore[arg-type]


def test_degraded_patches_keep_the_high_resolution_ones_of_bicubic(photo: Photo) -> None:
    for step in range(5):
        lr, hr = sampler(photo, "real_esrgan").batch(step)
        plain, wanted = sampler(photo, "bicubic").batch(step)
        np.testing.assert_array_equal(hr, wanted)
        assert lr.shape == plain.shape
        assert all(not np.array_equal(a, b) for a, b in zip(lr, plain, strict=True))


def test_degraded_patches_lie_where_the_bicubic_ones_do(
    photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {**DEGRADATIONS, "real_esrgan": bicubic}
    monkeypatch.setattr("edgesr.data.patches.DEGRADATIONS", table)
    for step in range(20):  # windows touch every border of the image
        made = sampler(photo, "real_esrgan").batch(step)[0]
        cut = sampler(photo, "bicubic").batch(step)[0]
        np.testing.assert_array_equal(made, cut)


def test_a_degraded_batch_depends_on_seed_step_and_rank_alone(photo: Photo) -> None:
    first = sampler(photo, "real_esrgan").batch(3)[0]
    np.testing.assert_array_equal(first, sampler(photo, "real_esrgan").batch(3)[0])
    for other in (
        sampler(photo, "real_esrgan", seed=5).batch(3)[0],
        sampler(photo, "real_esrgan", rank=1).batch(3)[0],
        sampler(photo, "real_esrgan").batch(4)[0],
    ):
        assert not np.array_equal(first, other)


def test_every_patch_of_a_batch_has_its_own_chain() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    images = DecodedImages(scale=2, names=("a",), lr=(flat[:32, :32],), hr=(flat,), sha256=("",))
    lr, _ = PatchSampler(
        images=images, patch_size=16, batch_size=8, seed=0, degradation="real_esrgan"
    ).batch(0)
    assert len({patch.tobytes() for patch in lr}) == 8
    assert np.ptp([patch.std() for patch in lr]) > 1


def test_an_unknown_degradation_is_refused(photo: Photo) -> None:
    with pytest.raises(ConfigError, match="'blur': want one of bicubic, real_esrgan"):
        sampler(photo, "blur")
