from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from edgesr.diffusion.path import Path, diffuse, respace, spaced_timesteps
from edgesr.diffusion.schedules import SCHEDULES, cosine, ddpm_linear, irsde, rddm, resshift
from edgesr.errors import DiffusionError

Images = Callable[..., Tensor]


def test_diffuse_is_the_published_formula_of_each_model(images: Images) -> None:
    x0, y, eps = images(1), images(2), images(3)
    ddpm, shift, revert = ddpm_linear(), resshift(), irsde()
    kept = float(np.cumprod(1 - np.linspace(1e-6, 1e-2, 2000))[699])
    want = kept**0.5 * x0 + (1 - kept) ** 0.5 * eps
    assert (diffuse(ddpm, 700, x0, noise=eps, centre=None) - want).abs().max() <= 1e-12
    eta = 1 - float(shift.signal[9])
    want = x0 + eta * (y - x0) + 2.0 * eta**0.5 * eps
    assert (diffuse(shift, 9, x0, noise=eps, centre=y) - want).abs().max() <= 1e-12
    m = float(revert.signal[40])
    want = y + (x0 - y) * m + 60 / 255 * (1 - m**2) ** 0.5 * eps
    assert (diffuse(revert, 40, x0, noise=eps, centre=y) - want).abs().max() <= 1e-12


def test_a_state_for_each_image_is_the_same_as_one_by_one(images: Images) -> None:
    path, x0, y, eps = resshift(), images(1), images(2), images(3)
    both = diffuse(path, torch.tensor([4, 15]), x0, noise=eps, centre=y)
    for image, state in enumerate((4, 15)):
        own = slice(image, image + 1)
        alone = diffuse(path, state, x0[own], noise=eps[own], centre=y[own])
        assert torch.equal(both[own], alone)


def test_state_0_is_the_clean_image(images: Images) -> None:
    for make in SCHEDULES.values():
        path = make()
        centre = images(2) if path.centred else None
        clean = diffuse(path, 0, images(1), noise=images(3), centre=centre)
        assert torch.allclose(clean, images(1), rtol=0, atol=1e-15)


def test_respacing_keeps_values_and_original_numbers() -> None:
    full = resshift()
    few = respace(full, [4, 8, 15])
    assert list(few.timesteps) == [0, 4, 8, 15]
    assert list(few.noise) == [full.noise[t] for t in (0, 4, 8, 15)]
    again = respace(few, [8, 15])
    assert list(again.timesteps) == [0, 8, 15]
    assert list(again.signal) == [full.signal[t] for t in (0, 8, 15)]


def test_steps_are_spaced_evenly_in_time() -> None:
    assert spaced_timesteps(ddpm_linear(), 5) == [400, 800, 1200, 1600, 2000]
    assert spaced_timesteps(resshift(), 15) == list(range(1, 16))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_steps", [1, 2, 7, 15])
def test_steps_are_spaced_as_evenly_as_can_be_in_snr(name: str, num_steps: int) -> None:
    path = SCHEDULES[name]()
    picked = spaced_timesteps(path, num_steps, by="snr")
    assert len(picked) == num_steps
    assert picked[-1] == path.num_steps
    respace(path, picked)


def test_snr_spacing_is_more_even_in_snr_than_time_spacing() -> None:
    path = cosine()
    spread = {}
    for by in ("time", "snr"):
        few = respace(path, spaced_timesteps(path, 8, by=by))
        spread[by] = float(np.std(np.diff(few.half_log_snr[1:])))
    assert spread["snr"] < 0.5 * spread["time"]


def test_tables_cannot_be_written() -> None:
    path = resshift()
    with pytest.raises(ValueError, match="read-only"):
        path.signal[0] = 0.5


@pytest.mark.parametrize(
    ("timesteps", "message"),
    [
        ([4, 16], "timestep 16 is not in the schedule, want some of its 15 between 1 and 15"),
        ([0, 4], "timestep 0 is not in the schedule"),
        ([-1], "timestep -1"),
        ([8, 4], "rising order"),
        ([4, 4], "rising order"),
        ([], "at least one"),
    ],
)
def test_steps_not_in_the_schedule_are_refused(timesteps: list[int], message: str) -> None:
    with pytest.raises(DiffusionError, match=message):
        respace(resshift(), timesteps)


@pytest.mark.parametrize("num_steps", [0, 16])
def test_more_steps_than_the_path_has_are_refused(num_steps: int) -> None:
    with pytest.raises(DiffusionError, match=f"{num_steps} steps, want 1 to 15"):
        spaced_timesteps(resshift(), num_steps)


@pytest.mark.parametrize("state", [-1, 16, torch.tensor([3, 16]), torch.tensor([-1, 2])])
def test_a_state_outside_the_path_is_refused(state: int | Tensor, images: Images) -> None:
    with pytest.raises(DiffusionError, match="is not in it, want 0 to 15"):
        diffuse(resshift(), state, images(1), noise=images(3), centre=images(2))


@pytest.mark.parametrize("state", [torch.tensor([3]), torch.tensor([3.0, 4.0])])
def test_states_are_integers_one_for_each_image(state: Tensor, images: Images) -> None:
    with pytest.raises(DiffusionError, match=r"want int64 of shape \(2,\)"):
        diffuse(resshift(), state, images(1), noise=images(3), centre=images(2))


def test_a_centre_that_does_not_fit_is_refused(images: Images) -> None:
    x0, eps, small = images(1), images(3), images(2, (2, 3, 2, 3))
    with pytest.raises(DiffusionError, match="no centre, want the upsampled image"):
        diffuse(resshift(), 3, x0, noise=eps, centre=None)
    with pytest.raises(DiffusionError, match=r"want \(2, 3, 5, 7\); upsample .* scale"):
        diffuse(resshift(), 3, x0, noise=eps, centre=small)
    with pytest.raises(DiffusionError, match="it has no centre, want centre=None"):
        diffuse(ddpm_linear(), 3, x0, noise=eps, centre=images(2))
    with pytest.raises(DiffusionError, match=r"float32 on cpu, want torch\.float64"):
        diffuse(rddm(), 3, x0, noise=eps, centre=images(2).float())
    with pytest.raises(DiffusionError, match="noise has shape"):
        diffuse(rddm(), 3, x0, noise=small, centre=images(2))


@pytest.mark.parametrize(
    ("signal", "noise", "timesteps", "message"),
    [
        ([1, 0.5], [0, 0.5, 0.6], [0, 1], "want one length"),
        ([1], [0], [0], "want one length"),
        ([1.1, 0.5], [0, 0.5], [0, 1], "signal above 1"),
        ([1, 0.5, 0.6], [0, 0.5, 0.6], [0, 1, 2], "that rises"),
        ([1, -0.5], [0, 0.5], [0, 1], "no signal"),
        ([1, 0, 0], [0, 0.5, 0.6], [0, 1, 2], "no signal before the last state"),
        ([1, 0.5], [-0.1, 0.5], [0, 1], "noise that is negative"),
        ([1, 0.5], [0, 0], [0, 1], "is not positive"),
        ([1, 0.5], [0, np.nan], [0, 1], "not finite"),
        ([1, 0.5, 0.2], [0, 0.5, 0.6], [0, 2, 2], "timesteps that do not rise"),
    ],
)
def test_tables_that_are_no_path_are_refused(
    signal: list[float], noise: list[float], timesteps: list[int], message: str
) -> None:
    with pytest.raises(DiffusionError, match=message):
        Path(
            name="own",
            signal=np.array(signal),
            noise=np.array(noise),
            timesteps=np.array(timesteps),
            chain="decay",
            centred=False,
        )
