"""A denoiser is told its timestep in a form that folds away."""

import pytest
import torch

from edgesr.errors import DataError
from edgesr.models.time_embedding import FiLM, TimedConv2d, TimeEmbedding, sinusoidal


def test_the_code_is_that_of_the_formula() -> None:
    # sin and cos of 500, 50, 5, 0.5
    wanted = [-0.467772, -0.262375, -0.958924, 0.479426, -0.883849, 0.964966, 0.283662, 0.877583]
    found = sinusoidal(torch.tensor([500]), 8)
    assert torch.allclose(found, torch.tensor([wanted]), atol=1e-4)


def test_whole_and_real_timesteps_are_one_code() -> None:
    whole, real = torch.tensor([3, 7]), torch.tensor([3.0, 7.0])
    assert torch.equal(sinusoidal(whole, 16), sinusoidal(real, 16))


def test_the_scale_is_positive_whatever_the_weights() -> None:
    torch.manual_seed(0)
    film = FiLM(8, 4)
    for spread in (0.0, 1.0, 100.0, 1e4):
        torch.nn.init.normal_(film.project.weight, std=spread or 1e-9)
        with torch.no_grad():
            gain, _ = film.factors(10 * torch.randn(50, 8))
        assert gain is not None
        assert float(gain.min()) > 0.1
        assert float(gain.max()) < 10


def test_film_starts_as_the_identity() -> None:
    features = torch.randn(2, 4, 5, 6)
    assert torch.equal(FiLM(8, 4)(features, torch.randn(2, 8)), features)


@pytest.mark.parametrize("gain", [True, False])
def test_folding_twice_changes_nothing_more(*, gain: bool) -> None:
    torch.manual_seed(0)
    layer, embedding = TimedConv2d(3, 4, 3, embedding=8, gain=gain), torch.randn(1, 8)
    assert layer.film is not None
    torch.nn.init.normal_(layer.film.project.weight)
    features = torch.randn(2, 3, 9, 7)
    wanted = layer(features, embedding)
    layer.fold_time(embedding)
    layer.fold_time(torch.randn(1, 8))
    assert (layer(features, None) - wanted).abs().max() <= 1e-5


def test_a_missing_embedding_and_a_wrong_timestep_are_named() -> None:
    with pytest.raises(DataError, match="wants a timestep, but none was given"):
        TimedConv2d(3, 4, 3, embedding=8)(torch.zeros(1, 3, 4, 4), None)
    with pytest.raises(DataError, match=r"timestep has shape \(\), want \(n,\)"):
        TimeEmbedding(code=8, hidden=8, width=8)(torch.tensor(3))
