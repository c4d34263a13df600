"""edgesr.metrics against scikit-image and the published bicubic scores."""

import math
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from edgesr.errors import DataError
from edgesr.images import list_images, read_image
from edgesr.imresize import downscale, modcrop, upscale_bicubic
from edgesr.metrics import PROTOCOLS, luma, measure

BICUBIC_X3 = {
    ("Set5", "classic-y"): (30.405, 0.8689),
    ("BSD100", "classic-y"): (27.210, 0.7391),
    ("Set5", "ntire-esr"): (28.625, None),
    ("BSD100", "ntire-esr"): (25.884, None),
}


def noisy_pair(seed: int, shape: tuple[int, int] = (24, 31)) -> tuple[NDArray[np.uint8], ...]:
    rng = np.random.default_rng(seed)
    hr = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    noise = rng.integers(-20, 21, hr.shape)
    return (hr.astype(np.int64) + noise).clip(0, 255).astype(np.uint8), hr


@pytest.mark.parametrize(("dataset", "protocol"), BICUBIC_X3)
def test_bicubic_scores_are_the_published_ones(
    shared_data: Path, dataset: str, protocol: str
) -> None:
    psnr, ssim = BICUBIC_X3[dataset, protocol]
    scores = []
    for path in list_images(shared_data / "eval" / dataset):
        hr = modcrop(read_image(path), 3)
        sr = upscale_bicubic(downscale(hr, 3), 3)
        scores.append(measure(sr, hr, scale=3, protocol=protocol))
    assert fmean(score.psnr for score in scores) == pytest.approx(psnr, abs=0.001)
    if ssim is not None:
        assert fmean(score.ssim for score in scores) == pytest.approx(ssim, abs=0.0001)


@given(seed=st.integers(0, 2**32 - 1))
def test_rgb_scores_equal_those_of_scikit_image(seed: int) -> None:
    sr, hr = noisy_pair(seed)
    score = measure(sr, hr, scale=3, protocol="mai")
    expected = structural_similarity(  # type: ignore[no-untyped-call]
        sr,
        hr,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=-1,
    )
    psnr = peak_signal_noise_ratio(hr, sr)  # type: ignore[no-untyped-call]
    assert score.psnr == pytest.approx(psnr, abs=1e-9)
    assert score.ssim == pytest.approx(expected, abs=1e-9)


def test_luma_scores_equal_those_of_scikit_image_inside_the_border() -> None:
    sr, hr = noisy_pair(5)
    score = measure(sr, hr, scale=3, protocol="classic-y")
    inside = [luma(image)[3:-3, 3:-3] for image in (sr, hr)]
    expected = structural_similarity(  # type: ignore[no-untyped-call]
        *inside, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    psnr = peak_signal_noise_ratio(*inside, data_range=255)  # type: ignore[no-untyped-call]
    assert score.psnr == pytest.approx(psnr, abs=1e-9)
    assert score.ssim == pytest.approx(expected, abs=1e-9)


def test_luma_spans_16_to_235() -> None:
    levels = luma(np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], dtype=np.uint8))
    np.testing.assert_allclose(levels, [16, 235, 81.481], atol=1e-12)


def test_a_border_is_cut_off_where_the_protocol_says_so() -> None:
    _, hr = noisy_pair(1)
    sr = hr.copy()
    sr[:3] = sr[-3:] = 0
    sr[:, :3] = sr[:, -3:] = 0
    assert math.isinf(measure(sr, hr, scale=3, protocol="ntire-esr").psnr)
    assert math.isinf(measure(sr, hr, scale=3, protocol="classic-y").psnr)
    assert measure(sr, hr, scale=3, protocol="mai").psnr < 30
    assert measure(sr, hr, scale=2, protocol="ntire-esr").psnr < 30


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_images_have_infinite_psnr_and_ssim_1(protocol: str) -> None:
    _, hr = noisy_pair(2)
    score = measure(hr, hr, scale=2, protocol=protocol)
    assert math.isinf(score.psnr)
    assert score.ssim == pytest.approx(1)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_knows_its_own_name(name: str) -> None:
    assert PROTOCOLS[name].name == name


def test_what_cannot_be_compared_is_refused() -> None:
    sr, hr = noisy_pair(0)
    with pytest.raises(DataError, match=r"'y' is unknown; choose one of mai, ntire-esr, classic-y"):
        measure(sr, hr, scale=3, protocol="y")
    with pytest.raises(DataError, match=r"\(24, 30, 3\) and \(24, 31, 3\)"):
        measure(sr[:, 1:], hr, scale=3, protocol="mai")
    with pytest.raises(DataError, match="round both to uint8"):
        measure(sr / 1.0, hr, scale=3, protocol="mai")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="at least 11 pixels"):
        measure(sr[:16], hr[:16], scale=3, protocol="ntire-esr")
