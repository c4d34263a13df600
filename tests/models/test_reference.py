"""The challenge networks are the published ones, to the last parameter."""

import pytest
import torch

from edgesr.errors import ConfigError
from edgesr.models import MODELS
from edgesr.models.reference import REFERENCE_NETS, build_reference

SIDE = 18


@pytest.mark.parametrize("name", REFERENCE_NETS)
def test_parameters_are_as_published(name: str) -> None:
    network = build_reference(name)
    assert sum(p.numel() for p in network.parameters()) == REFERENCE_NETS[name].params


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", REFERENCE_NETS)
def test_an_image_is_enlarged_by_the_factor(name: str, scale: int) -> None:
    network = build_reference(name, scale).eval()
    with torch.no_grad():
        sr = network(torch.rand(2, 3, SIDE, SIDE + 3))
    assert sr.shape == (2, 3, scale * SIDE, scale * (SIDE + 3))


def test_names_are_keys_and_not_those_of_the_int8_zoo() -> None:
    assert [about.name for about in REFERENCE_NETS.values()] == list(REFERENCE_NETS)
    assert set(REFERENCE_NETS) & set(MODELS) == set()


def test_unknown_names_and_factors_are_refused() -> None:
    with pytest.raises(ConfigError, match="'unet' is unknown; choose one of imdn"):
        build_reference("unet")
    with pytest.raises(ConfigError, match="no scale 0"):
        build_reference("imdn", 0)
