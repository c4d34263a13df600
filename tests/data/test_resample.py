"""edgesr.data.resample against PyTorch's ``interpolate``."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgesr.data.resample import RESAMPLINGS, Resampling, resample
from edgesr.errors import DataError


@pytest.mark.parametrize("shape", [(13, 40), (31, 17), (5, 3), (60, 64), (1, 1), (30, 30)])
@pytest.mark.parametrize("method", RESAMPLINGS)
def test_resampling_is_that_of_pytorch(method: Resampling, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (30, 32, 3)).astype(np.float32)
    options = {} if method == "area" else {"align_corners": False}
    expected = functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None],
        size=shape,
        mode=method,
        **options,
    )
    found = resample(image, shape, method)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[0].permute(1, 2, 0).numpy(), atol=1e-2)


@pytest.mark.parametrize("method", RESAMPLINGS)
def test_flat_stays_flat_and_equal_size_stays_equal(method: Resampling) -> None:
    flat = np.full((9, 11, 3), 100, np.float32)
    np.testing.assert_allclose(resample(flat, (20, 4), method), 100, rtol=1e-6)
    image = np.random.default_rng(1).uniform(0, 255, (9, 11, 3)).astype(np.float32)
    np.testing.assert_array_equal(resample(image, (9, 11), method), image)


def test_what_cannot_be_resampled_is_refused() -> None:
    image = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(DataError, match="a side is below one pixel"):
        resample(image, (0, 4), "area")
    with pytest.raises(DataError, match="'nearest' is unknown; use one of area, bilinear, bicubic"):
        resample(image, (2, 2), "nearest")  # type: ignore[arg-type]
