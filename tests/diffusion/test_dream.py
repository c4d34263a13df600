from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from edgesr.diffusion.dream import dream
from edgesr.diffusion.path import diffuse
from edgesr.diffusion.prediction import Prediction, to_eps
from edgesr.diffusion.schedules import SCHEDULES, ddpm_linear, resshift
from edgesr.errors import DiffusionError

Images = Callable[..., Tensor]


@dataclass(frozen=True)
class Says:
    value: Tensor
    prediction: Prediction

    def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor, /) -> Tensor:
        assert x.shape == condition.shape
        assert timestep.shape == x.shape[:1]
        return self.value


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_for_noise_it_is_the_published_rule(power: float, images: Images) -> None:
    path, x0, eps, said = ddpm_linear(), images(1), images(2), images(3)
    t = torch.tensor([40, 1500])
    example = dream(
        Says(said, "eps"), path, t, x0, noise=eps, condition=x0, centre=None, power=power
    )
    kept = torch.from_numpy(path.signal.copy())[t].reshape(-1, 1, 1, 1) ** 2
    share = (1 - kept).sqrt() ** power
    delta = eps - said
    x = kept.sqrt() * x0 + (1 - kept).sqrt() * eps
    assert (example.x - (x + (1 - kept).sqrt() * share * delta)).abs().max() <= 1e-12
    assert (example.target - (eps + share * delta)).abs().max() <= 1e-12


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", ["x0", "residual", "v"])
def test_input_and_target_fit_each_other(name: str, kind: Prediction, images: Images) -> None:
    path = SCHEDULES[name]()
    x0, eps, said = images(1), images(2), images(3)
    centre = images(4) if path.centred else None
    t = torch.tensor([3, path.num_steps - 1])
    example = dream(Says(said, kind), path, t, x0, noise=eps, condition=x0, centre=centre)
    rectified = to_eps(path, t, example.x, example.target, kind=kind, centre=centre)
    again = diffuse(path, t, x0, noise=rectified, centre=centre)
    assert torch.allclose(again, example.x, rtol=0, atol=1e-11)
    if kind == "x0":
        assert torch.equal(example.target, x0)


def test_a_perfect_network_and_an_infinite_power_leave_plain_training(images: Images) -> None:
    path, x0, y, eps = resshift(), images(1), images(2), images(3)
    t = torch.tensor([3, 15])
    plain = diffuse(path, t, x0, noise=eps, centre=y)
    perfect = dream(Says(x0, "x0"), path, t, x0, noise=eps, condition=x0, centre=y)
    assert torch.allclose(perfect.x, plain, rtol=0, atol=1e-12)
    off = dream(Says(y, "x0"), path, t, x0, noise=eps, condition=x0, centre=y, power=float("inf"))
    assert torch.equal(off.x, plain)


def test_no_gradient_flows_through_the_correction(images: Images) -> None:
    said = images(3).requires_grad_()
    t = torch.tensor([3, 15])
    example = dream(
        Says(said, "x0"),
        resshift(),
        t,
        images(1),
        noise=images(2),
        condition=images(1),
        centre=images(4),
    )
    assert not example.x.requires_grad
    assert not example.target.requires_grad


def test_a_negative_power_and_the_clean_state_are_refused(images: Images) -> None:
    x0, y = images(1), images(2)

    def run(state: int, power: float) -> None:
        t = torch.tensor([3, state])
        dream(Says(x0, "x0"), resshift(), t, x0, noise=y, condition=x0, centre=y, power=power)

    with pytest.raises(DiffusionError, match=r"power is -1\.0"):
        run(4, -1.0)
    with pytest.raises(DiffusionError, match="state 0"):
        run(0, 1.0)
