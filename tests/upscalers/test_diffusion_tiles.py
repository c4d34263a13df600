"""A denoiser sees a large photograph in windows, and the picture does not show them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.diffusion.colour import find_colour_fix, low_pass, mean_std
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.schedules import resshift
from edgesr.diffusion.tiles import TiledNetwork, halo_of, plan_tiles
from edgesr.errors import DataError, DiffusionError, UsageError
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.upscalers import load_upscaler, network_evaluations, upscale_image
from edgesr.upscalers.load import Sampling, is_sampled

Photo = Callable[..., NDArray[np.uint8]]
FINITE = [name for name, about in DENOISERS.items() if about.receptive_field is not None]
PATH = resshift(num_steps=3)


def restless(name: str, scale: int) -> Denoiser:
    """A denoiser whose prediction depends on all that it sees."""
    torch.manual_seed(0)
    network = build_denoiser(name, scale)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    return network.eval()


def saved(path: Path, name: str = "resshift_px_s", scale: int = 2) -> Path:
    save_denoiser(
        path,
        restless(name, scale).state_dict(),
        model=name,
        scale=scale,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
        prediction="residual",
    )
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return saved(tmp_path / "restless.safetensors")


@pytest.mark.parametrize("name", FINITE)
def test_the_halo_is_all_that_a_pixel_sees_to_either_side(name: str) -> None:
    about = DENOISERS[name]
    halo = halo_of(about)
    assert halo is not None
    network = build_denoiser(name, 2).eval()
    small = 1e-4 if name.endswith("1bit") else 1e-2  # nothing cancels, no ReLU or sign is flat
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(small)
    size, furthest = 40 * about.multiple, 0
    for pixel in range(size // 2, size // 2 + about.multiple):
        lr = torch.ones(1, 3, about.multiple, size, requires_grad=True)
        x_t = torch.ones(1, 3, 2 * about.multiple, 2 * size)
        seen = network(x_t, torch.ones(1), lr)[..., 2 * pixel : 2 * pixel + 2]
        (gradient,) = torch.autograd.grad(seen.sum(), lr)
        columns = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        furthest = max(furthest, pixel - int(columns[0]), int(columns[-1]) - pixel)
    assert furthest == halo


@pytest.mark.parametrize("shape", [(70, 61), (64, 90), (131, 45)])
@pytest.mark.parametrize("multiple", [2, 4])
def test_tiles_cover_every_pixel_once_on_the_grid(shape: tuple[int, int], multiple: int) -> None:
    seen = np.zeros(shape, dtype=int)
    for tile in plan_tiles(shape, tile=48, multiple=multiple, halo=9):
        for span, size in ((tile.rows, shape[0]), (tile.columns, shape[1])):
            assert span.start % multiple == 0
            assert span.stop == size or span.stop % multiple == 0
            assert span.stop - span.start <= 48
            assert span.start == 0 or span.keep_start - span.start >= 9
            assert span.stop == size or span.stop - span.keep_stop >= 9
        rows = slice(tile.rows.keep_start, tile.rows.keep_stop)
        seen[rows, tile.columns.keep_start : tile.columns.keep_stop] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("name", "shape", "tile"),
    [
        ("resshift_px_s", (57, 83), 54),
        ("resshift_px_s", (58, 84), 56),
        ("resshift_px_m", (21, 91), 70),
    ],
)
def test_the_samples_of_tiles_are_those_of_the_frame(
    name: str, shape: tuple[int, int], tile: int
) -> None:
    network, about = restless(name, 2), DENOISERS[name]
    lr = 2 * torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(1)) - 1
    halo = halo_of(about)
    assert halo is not None
    tiles = plan_tiles(shape, tile=tile, multiple=about.multiple, halo=halo)
    assert len(tiles) > 1
    whole = ConditionedDenoiser(network, PATH).sample(lr, sampler="ancestral")
    tiled = ConditionedDenoiser(TiledNetwork(network, tiles), PATH).sample(lr, sampler="ancestral")
    assert not torch.equal(whole[..., :-1], whole[..., 1:])
    assert float((whole - tiled).abs().max()) <= 1e-4


def test_a_smaller_halo_would_show() -> None:
    network, shape = restless("resshift_px_s", 2), (57, 83)
    lr = 2 * torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(1)) - 1
    tiles = plan_tiles(shape, tile=46, multiple=2, halo=4)
    whole = ConditionedDenoiser(network, PATH).sample(lr)
    tiled = ConditionedDenoiser(TiledNetwork(network, tiles), PATH).sample(lr)
    assert float((whole - tiled).abs().max()) > 1e-4


def test_a_photograph_is_the_same_in_tiles(weights: Path, photo: Photo) -> None:
    lr, upscaler = photo(57, 75), load_upscaler(weights)
    progress: list[tuple[int, int]] = []
    tiled = upscale_image(
        upscaler, lr, tile=56, on_tile=lambda done, total: progress.append((done, total))
    )
    difference = np.abs(tiled.astype(int) - upscaler(lr).astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-4
    total = progress[-1][1]
    assert progress == [(number, total) for number in range(1, total + 1)]
    assert total % 4 == 0
    assert total > 4


def test_one_piece_shows_its_steps_too(weights: Path, photo: Photo) -> None:
    progress: list[tuple[int, int]] = []
    upscaler = load_upscaler(weights, sampling=Sampling(steps=3))
    upscale_image(upscaler, photo(20, 26), on_tile=lambda *done: progress.append(done))
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_a_tile_that_is_all_border_is_refused(weights: Path, photo: Photo) -> None:
    with pytest.raises(DataError, match=r"tile of 36 pixels has nothing left .* at least 38"):
        upscale_image(load_upscaler(weights), photo(40, 40), tile=36)
    assert upscale_image(load_upscaler(weights), photo(40, 40), tile=38).shape == (80, 80, 3)


def test_a_network_that_sees_the_whole_image_is_not_tiled(tmp_path: Path, photo: Photo) -> None:
    upscaler = load_upscaler(saved(tmp_path / "naf.safetensors", "resshift_px_naf"))
    lr = photo(20, 26)
    for refused in (
        lambda: upscale_image(upscaler, lr, tile=16),
        lambda: upscaler.in_tiles(lr, tile=16),  # type: ignore[attr-defined]
    ):
        with pytest.raises(DataError, match=r"whole image .* cannot be tiled; use tile 0"):
            refused()
    assert upscale_image(upscaler, lr).shape == (40, 52, 3)


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "dpm_solver_2m", "sa_solver"])
def test_the_network_is_asked_as_often_as_is_said(
    sampler: str, weights: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    forward = Denoiser.forward

    def count(self: Denoiser, x_t: Tensor, timestep: Tensor, lr: Tensor) -> Tensor:
        asked.append(int(timestep))
        return forward(self, x_t, timestep, lr)

    monkeypatch.setattr(Denoiser, "forward", count)
    for steps in (1, 3, 4):
        upscaler = load_upscaler(weights, sampling=Sampling(steps=steps, sampler=sampler))
        asked.clear()
        upscaler(photo(16, 16))
        assert len(asked) == network_evaluations(upscaler) == steps


def test_mean_and_spread_become_those_of_the_centre() -> None:
    generator = torch.Generator().manual_seed(0)
    image, centre = (
        a * torch.rand(2, 3, 30, 40, generator=generator) + b for a, b in ((1, -0.2), (0.4, 0.1))
    )
    fixed = mean_std(image, centre)
    for part in (torch.mean, torch.std):
        torch.testing.assert_close(part(fixed, dim=(2, 3)), part(centre, dim=(2, 3)))
    flat = torch.full_like(image, 0.3)
    torch.testing.assert_close(mean_std(flat, centre).mean(), centre.mean())


def test_the_low_pass_takes_a_cast_away_and_leaves_detail() -> None:
    centre = torch.zeros(1, 3, 96, 96)
    checks = 0.5 * (-1.0) ** (torch.arange(96)[:, None] + torch.arange(96))
    detail = checks.expand_as(centre)
    inner = (..., slice(32, 64), slice(32, 64))  # the blurs reach 31 pixels, and repeat borders
    fixed = low_pass(detail + 0.2, centre)
    torch.testing.assert_close(fixed[inner], detail[inner], atol=1e-5, rtol=0)
    torch.testing.assert_close(low_pass(detail, detail), detail)


@pytest.mark.parametrize("fix", ["mean_std", "low_pass"])
def test_a_fix_changes_the_picture_and_tiles_do_not(fix: str, weights: Path, photo: Photo) -> None:
    lr = photo(50, 44)
    plain = load_upscaler(weights)(lr)
    upscaler = load_upscaler(weights, sampling=Sampling(colour_fix=fix))
    whole, tiled = upscaler(lr), upscale_image(upscaler, lr, tile=40)
    assert not np.array_equal(plain, whole)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() <= 1


def test_unknown_fixes_and_fixes_for_plain_networks_are_refused(weights: Path) -> None:
    with pytest.raises(DiffusionError, match="'sepia' is not known, want one of mean_std"):
        find_colour_fix("sepia")
    with pytest.raises(DiffusionError, match="colour fix 'sepia'"):
        load_upscaler(weights, sampling=Sampling(colour_fix="sepia"))
    with pytest.raises(UsageError, match="drop --colour-fix"):
        load_upscaler("ncnet_x3", sampling=Sampling(colour_fix="mean_std"))


def test_what_is_sampled_is_known_beforehand(weights: Path, tmp_path: Path) -> None:
    assert is_sampled(weights)
    for other in ("bicubic", "ncnet_x3", tmp_path / "missing.safetensors"):
        assert not is_sampled(other)
