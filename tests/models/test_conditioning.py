"""Noisy image, centre and low-resolution image become the tensor that a denoiser reads."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgesr.errors import DataError
from edgesr.imresize import imresize
from edgesr.models.conditioning import Conditioning

SCALES = (2, 3, 4)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(7, 12), (1, 5), (3, 3)])
def test_the_centre_is_matlabs_bicubic(scale: int, size: tuple[int, int]) -> None:
    lr = 2 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(scale)) - 1
    found = Conditioning(scale, grid="lr", multiple=1).centre(lr)[0].permute(1, 2, 0).numpy()
    wanted = imresize(lr[0].permute(1, 2, 0).double().numpy(), scale=scale)
    assert np.abs(found - wanted).max() < 1e-6


@pytest.mark.parametrize("scale", SCALES)
def test_blocks_of_pixels_become_channels_and_the_bicubic_centre_is_the_default(scale: int) -> None:
    torch.manual_seed(scale)
    x_t, lr = torch.randn(2, 3, 6 * scale, 8 * scale), torch.randn(2, 3, 6, 8)
    conditioning = Conditioning(scale, grid="lr", multiple=2)
    joined = conditioning(x_t, lr, None)
    assert joined.shape == (2, conditioning.channels, 6, 8)
    count = 3 * scale**2
    assert torch.equal(functional.pixel_shuffle(joined[:, :count], scale), x_t)
    assert torch.equal(joined[:, 2 * count :], lr)
    assert torch.equal(conditioning(x_t, lr, conditioning.centre(lr)), joined)


def test_a_centre_of_the_callers_own_is_taken() -> None:
    x_t, lr, centre = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 8, 8)
    joined = Conditioning(2, grid="lr", multiple=2)(x_t, lr, centre)
    assert joined.sum() == joined[:, 12:24].sum() == 12 * 16
    full = Conditioning(2, grid="hr", multiple=2)(x_t, lr, centre)
    assert torch.equal(full[:, :3], centre)


def test_odd_sizes_are_padded_by_reflection() -> None:
    lr = torch.arange(25.0).reshape(1, 1, 5, 5).repeat(1, 3, 1, 1)
    joined = Conditioning(2, grid="lr", multiple=4)(torch.zeros(1, 3, 10, 10), lr, None)
    assert joined.shape[2:] == (8, 8)
    assert torch.equal(joined[:, 24:, 5:], joined[:, 24:, [3, 2, 1]])


def test_what_does_not_fit_is_named() -> None:
    conditioning = Conditioning(2, grid="lr", multiple=4)
    lr = torch.zeros(1, 3, 8, 8)
    with pytest.raises(DataError, match=r"x_t has shape \(1, 3, 16, 8\), want \(1, 3, 16, 16\)"):
        conditioning(torch.zeros(1, 3, 16, 8), lr, None)
    with pytest.raises(DataError, match=r"centre has shape \(2, 3, 16, 16\)"):
        conditioning(torch.zeros(1, 3, 16, 16), lr, torch.zeros(2, 3, 16, 16))
    with pytest.raises(DataError, match=r"lr has shape \(1, 1, 8, 8\), want \(n, 3, h, w\)"):
        conditioning(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 8, 8), None)
    with pytest.raises(DataError, match=r"2x2 pixels is too small: .* at least 3 pixels"):
        conditioning(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2), None)
    with pytest.raises(DataError, match="grid 'latent' is unknown; choose one of lr, hr"):
        Conditioning(2, grid="latent", multiple=4)


@pytest.mark.parametrize("grid", ["lr", "hr"])
def test_what_was_padded_is_cropped_again(grid: str) -> None:
    x_t, lr = torch.randn(2, 3, 15, 21), torch.randn(2, 3, 5, 7)
    conditioning = Conditioning(3, grid=grid, multiple=4)
    joined = conditioning(x_t, lr, None)
    assert joined.shape[2] % 4 == joined.shape[3] % 4 == 0
    shown = functional.pixel_shuffle(joined[:, :27], 3) if grid == "lr" else joined[:, 3:]
    assert torch.equal(conditioning.crop(shown, lr), x_t)
