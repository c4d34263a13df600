"""What a network is shown of a noisy image, and how its samples start."""

import pytest
import torch

from edgesr.diffusion.conditioned import ConditionedDenoiser, enlarge, network_input
from edgesr.diffusion.path import diffuse, respace
from edgesr.diffusion.schedules import ddpm_linear, resshift
from edgesr.errors import DiffusionError
from edgesr.models.denoisers import build_denoiser


@pytest.mark.parametrize("state", [1, 2, 3, 4])
def test_it_is_the_best_linear_guess_of_the_clean_image(state: int) -> None:
    """No other weight between centre and noisy image is nearer to the truth."""
    path = resshift(num_steps=4, kappa=0.5, min_noise=0.2)
    random = torch.Generator().manual_seed(0)
    centre, residual, noise = (torch.randn(1, 3, 128, 128, generator=random) for _ in range(3))
    x0 = centre + 0.1 * residual
    x = diffuse(path, state, x0, noise=noise, centre=centre)
    error = float((network_input(path, state, x, centre) - x0).square().mean())
    for weight in torch.linspace(0, 1, 201):
        other = float((centre + weight * (x - centre) - x0).square().mean())
        assert error <= 1.02 * other


def test_where_there_is_nothing_but_noise_it_is_the_centre_and_at_the_end_the_image() -> None:
    path = resshift(num_steps=4, kappa=0.5, min_noise=0.2)
    centre, x = torch.zeros(1, 3, 8, 8), torch.randn(1, 3, 8, 8)
    assert float(network_input(path, 4, x, centre).abs().max()) < 0.01
    assert torch.equal(network_input(path, 0, x, centre), x)


def test_without_a_centre_noise_is_kept_in_range() -> None:
    path = ddpm_linear()
    x = torch.full((1, 3, 4, 4), 1.0 + 3.0 * float(path.noise[1000]))
    assert float(network_input(path, 1000, x, None).max()) == pytest.approx(1.0)


def test_a_fresh_network_samples_the_centre() -> None:
    path = resshift(num_steps=4, kappa=0.5, min_noise=0.2)
    lr = torch.rand(2, 3, 10, 12) * 1.6 - 0.8
    found = ConditionedDenoiser(build_denoiser("resshift_px_s", 2), path).sample(lr)
    assert torch.allclose(found, enlarge(lr, 2).clamp(-1, 1), atol=1e-5)


def test_a_respaced_path_is_for_sampling_alone() -> None:
    path = respace(resshift(), [5, 15])
    with pytest.raises(DiffusionError, match="give the one that the network was trained on"):
        ConditionedDenoiser(build_denoiser("resshift_px_s", 2), path)
