from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from edgesr.diffusion.path import diffuse
from edgesr.diffusion.prediction import (
    Prediction,
    to_eps,
    to_residual,
    to_v,
    to_x0,
    training_target,
)
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.schedules import SCHEDULES, ddpm_linear, rddm
from edgesr.errors import DiffusionError

Images = Callable[..., Tensor]
CONVERTERS: dict[Prediction, Callable[..., Tensor]] = {
    "x0": to_x0,
    "residual": to_residual,
    "eps": to_eps,
    "v": to_v,
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", CONVERTERS)
def test_each_prediction_gives_back_every_other(
    name: str, kind: Prediction, images: Images
) -> None:
    path = SCHEDULES[name]()
    x0, eps = images(1), images(3)
    centre = images(2) if path.centred else None
    for state in (1, path.num_steps // 2, path.num_steps - 1):
        t = torch.full((2,), state)
        x = diffuse(path, t, x0, noise=eps, centre=centre)
        given = training_target(path, t, x0, noise=eps, kind=kind, centre=centre)
        for wanted, convert in CONVERTERS.items():
            want = training_target(path, t, x0, noise=eps, kind=wanted, centre=centre)
            got = convert(path, t, x, given, kind=kind, centre=centre)
            # A division by the signal or the noise enlarges what float64 rounds.
            room = 1 / min(float(path.signal[state]), float(path.noise[state]))
            assert (got - want).abs().max() <= 2e-15 * room


def test_v_is_the_published_one_on_a_variance_preserving_path(images: Images) -> None:
    path, x0, eps = ddpm_linear(), images(1), images(3)
    a, s = float(path.signal[900]), float(path.noise[900])
    v = a * eps - s * x0
    target = training_target(path, 900, x0, noise=eps, kind="v", centre=None)
    assert torch.equal(target, v)
    x = a * x0 + s * eps
    assert (to_x0(path, 900, x, v, kind="v", centre=None) - (a * x - s * v)).abs().max() <= 1e-12


def test_noise_alone_does_not_tell_the_image_where_there_is_no_signal(images: Images) -> None:
    path, x, y = rddm(), images(1), images(2)
    with pytest.raises(DiffusionError, match="without signal"):
        to_x0(path, 1000, x, images(3), kind="eps", centre=y)
    with pytest.raises(DiffusionError, match="without signal"):
        to_x0(path, torch.tensor([5, 1000]), x, images(3), kind="eps", centre=y)
    x0 = to_x0(path, 1000, x, images(3), kind="v", centre=y)
    assert torch.isfinite(x0).all()


def test_the_clean_state_has_no_noise_to_convert_to(images: Images) -> None:
    with pytest.raises(DiffusionError, match="state 0, which has no noise"):
        to_eps(ddpm_linear(), 0, images(1), images(2), kind="x0", centre=None)


def test_an_unknown_prediction_is_refused(images: Images) -> None:
    with pytest.raises(DiffusionError, match="'score' is not known, want x0"):
        to_x0(ddpm_linear(), 5, images(1), images(2), kind="score", centre=None)  # type: ignore[arg-type]
    with pytest.raises(DiffusionError, match="'score' is not known, want x0"):
        training_target(
            ddpm_linear(),
            5,
            images(1),
            noise=images(2),
            kind="score",  # type: ignore[arg-type]
            centre=None,
        )


def test_grey_levels_survive_the_way_there_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    inside = from_grey_levels(levels)
    assert (float(inside.min()), float(inside.max())) == (-1.0, 1.0)
    assert torch.equal(to_grey_levels(inside).round().to(torch.uint8), levels)
    assert to_grey_levels(torch.tensor([-3.0, 3.0])).tolist() == [0.0, 255.0]
