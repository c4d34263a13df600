"""A regression network makes the centre of a path: once, in grey levels, in windows as in one."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.conditioned import ConditionedDenoiser, enlarge
from edgesr.diffusion.schedules import find_schedule, resshift
from edgesr.diffusion.tiles import TiledNetwork, halo_of, plan_tiles
from edgesr.errors import DataError, DiffusionError
from edgesr.models import MODELS, build_model
from edgesr.models.centre import CentreNetwork
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser

PATH = resshift(num_steps=3)


class Counted(nn.Module):
    """Nearest enlargement and a third of the grey level more; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, lr: Tensor) -> Tensor:
        self.shapes.append(tuple(lr.shape[2:]))
        return nn.functional.interpolate(lr, scale_factor=2) * (4 / 3)


def network(module: nn.Module, *, scale: int = 2, model: str = "ncnet") -> CentreNetwork:
    return CentreNetwork(module=module, descriptor=MODELS[model], scale=scale, sha256="0")


def trained(model: str) -> CentreNetwork:
    """A network whose every layer counts."""
    torch.manual_seed(3)
    module = build_model(model, 2).eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.03 * torch.randn(weight.shape))
    return network(module, model=model)


def restless() -> Denoiser:
    torch.manual_seed(0)
    made = build_denoiser("resshift_px_s", 2)
    with torch.no_grad():
        made.get_parameter("core.head.weight").normal_(0.0, 0.02)
    return made.eval()


def image(height: int, width: int) -> Tensor:
    return 2 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)) - 1


def test_the_network_works_on_grey_levels_and_the_centre_is_clipped() -> None:
    lr = torch.tensor([-1.0, -0.5, 0.0, 0.9]).view(1, 1, 2, 2).repeat(1, 3, 1, 1)
    centre = RegressionCentre(network(Counted()))(lr)
    wanted = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0]).view(1, 1, 2, 2)
    wanted = wanted.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(1, 3, 4, 4)
    torch.testing.assert_close(centre, wanted)


def test_the_centre_of_an_image_is_made_once_whoever_asks() -> None:
    module = Counted()
    regression = RegressionCentre(network(module))
    first = ConditionedDenoiser(restless(), PATH, regression=regression)
    second = ConditionedDenoiser(restless(), PATH, regression=regression)
    lr = image(8, 8)
    first.sample(lr)
    second.sample(lr)
    assert module.shapes == [(8, 8)]
    other = image(8, 8)
    assert torch.equal(first.centre(other), second.centre(lr))  # type: ignore[arg-type]
    assert len(module.shapes) == 3  # another tensor is another image, whatever it holds


def test_no_gradient_flows_through_it() -> None:
    regression = RegressionCentre(trained("ncnet"))
    assert not regression(image(8, 8).requires_grad_()).requires_grad


class Keeps(nn.Module):
    """A denoiser's network that keeps the centre that it is shown."""

    prediction, scale = "residual", 2

    def forward(
        self, x_t: Tensor, _timestep: Tensor, _lr: Tensor, centre: Tensor | None = None
    ) -> Tensor:
        self.seen = centre
        return torch.zeros_like(x_t)


@pytest.mark.parametrize("schedule", ["resshift", "ddpm_linear"])
def test_the_denoiser_is_shown_it_on_any_path(schedule: str) -> None:
    keeps: Any = Keeps()
    path = find_schedule(schedule)(num_steps=5)
    regression, lr = RegressionCentre(trained("ncnet")), image(8, 8)
    denoiser = ConditionedDenoiser(keeps, path, regression=regression)
    denoiser(torch.zeros(1, 3, 16, 16), torch.tensor([1]), lr)
    assert torch.equal(keeps.seen, regression(lr))
    assert not torch.allclose(keeps.seen, enlarge(lr, 2))
    centre = denoiser.centre(lr)
    assert (centre is keeps.seen) if path.centred else (centre is None)


def test_a_network_sees_it_in_the_channels_of_the_bicubic_one() -> None:
    lr, centre, x = image(6, 8), image(12, 16), image(12, 16)
    made, t = restless(), torch.tensor([1])
    assert torch.equal(
        made.conditioning(x, lr, centre)[:, 12:24], nn.functional.pixel_unshuffle(centre, 2)
    )
    shown, bicubic = made(x, t, lr, centre), made(x, t, lr)
    assert not torch.allclose(shown, bicubic)
    assert torch.allclose(made(x, t, lr, enlarge(lr, 2)), bicubic, atol=1e-6)


@pytest.mark.parametrize("model", ["ncnet", "espcn", "sesr_m11"])
def test_its_windows_join_to_the_frame(model: str) -> None:
    lr, known = image(45, 61), trained(model)
    whole, tiled = RegressionCentre(known)(lr), RegressionCentre(known, tile=40)(lr)
    assert float((whole - tiled).abs().max()) <= 1e-5
    assert whole.std() > 0.01


def test_windows_have_the_size_that_was_asked_for() -> None:
    module = Counted()
    RegressionCentre(network(module), tile=40)(image(45, 61))
    assert len(module.shapes) > 1
    assert max(max(shape) for shape in module.shapes) <= 40
    with pytest.raises(DataError, match="tile of 14 pixels has nothing left"):
        RegressionCentre(network(module), tile=14)(image(45, 61))


def test_the_samples_of_tiles_are_those_of_the_frame() -> None:
    about, known, lr = DENOISERS["resshift_px_s"], trained("ncnet"), image(57, 83)
    halo = halo_of(about)
    assert halo is not None
    tiles = plan_tiles((57, 83), tile=54, multiple=about.multiple, halo=halo)
    assert len(tiles) > 1
    made = restless()
    whole = ConditionedDenoiser(made, PATH, regression=RegressionCentre(known)).sample(lr)
    tiled = ConditionedDenoiser(
        TiledNetwork(made, tiles), PATH, regression=RegressionCentre(known, tile=54)
    ).sample(lr)
    bicubic = ConditionedDenoiser(made, PATH).sample(lr)
    assert float((whole - tiled).abs().max()) <= 1e-4
    assert float((whole - bicubic).abs().max()) > 0.01


def test_a_centre_of_another_scale_is_refused() -> None:
    regression = RegressionCentre(network(Counted(), scale=3))
    with pytest.raises(DiffusionError, match="enlarged by 3, but the denoiser by 2"):
        ConditionedDenoiser(restless(), PATH, regression=regression)
