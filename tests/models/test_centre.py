"""A denoiser's file holds the network that makes its centre, or is refused."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgesr.errors import CheckpointError
from edgesr.files import sha256_file
from edgesr.models import build_model
from edgesr.models.centre import CentreNetwork, load_centre
from edgesr.models.checkpoint import form_of, load_model, read_weights, save_weights
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser

NAME = "resshift_px_s"


def write_network(path: Path, *, model: str = "espcn", scale: int = 2) -> Path:
    """Write a regression network with random weights, in the form that it is trained in."""
    torch.manual_seed(11)
    network = build_model(model, scale, "training")
    facts = {"form": form_of(network)}
    save_weights(path, network.state_dict(), model=model, scale=scale, metadata=facts)
    return path


def write_denoiser(path: Path, centre: CentreNetwork | None) -> Path:
    save_denoiser(
        path,
        build_denoiser(NAME, 2).state_dict(),
        model=NAME,
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
        prediction="residual",
        centre=centre,
    )
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_network(tmp_path / "espcn.safetensors")


@pytest.mark.parametrize("model", ["ncnet", "espcn", "sesr_m5"])
def test_one_file_gives_the_same_centre_without_the_networks_own(
    tmp_path: Path, model: str
) -> None:
    source = write_network(tmp_path / "network.safetensors", model=model)
    lr = 255 * torch.rand(1, 3, 9, 11)
    wanted = load_model(source).module(lr)
    path = write_denoiser(tmp_path / "px.safetensors", load_centre(source))
    digest = sha256_file(source)
    source.unlink()
    centre = load_denoiser(path).centre
    assert centre is not None
    assert (centre.descriptor.name, centre.scale, centre.sha256) == (model, 2, digest)
    assert torch.equal(centre.module(lr), wanted)
    assert not centre.module.training
    assert not any(weight.requires_grad for weight in centre.module.parameters())


def test_a_file_without_one_has_the_bicubic_centre(tmp_path: Path) -> None:
    loaded = load_denoiser(write_denoiser(tmp_path / "px.safetensors", None))
    assert loaded.centre is None


def rewritten(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> Path:
    save_weights(path, state, model=NAME, scale=2, metadata=metadata)
    return path


def test_a_file_that_lost_its_centre_is_refused(tmp_path: Path, source: Path) -> None:
    path = write_denoiser(tmp_path / "px.safetensors", load_centre(source))
    state, metadata = read_weights(path)
    own = {key: value for key, value in state.items() if not key.startswith("centre.")}
    with pytest.raises(CheckpointError, match="weights of its centre, a espcn, are not in it"):
        load_denoiser(rewritten(path, own, metadata))
    first = next(key for key in state if key not in own)
    rest = {key: value for key, value in state.items() if key != first}
    with pytest.raises(CheckpointError, match="does not fit espcn x2: misses"):
        load_denoiser(rewritten(path, rest, metadata))
    with pytest.raises(CheckpointError, match="is of model 'vgg', want one of"):
        load_denoiser(rewritten(path, state, {**metadata, "centre_model": "vgg"}))
    with pytest.raises(CheckpointError, match="holds NaN"):
        load_denoiser(rewritten(path, {**state, first: state[first] * torch.nan}, metadata))
    unnamed = {key: value for key, value in metadata.items() if key != "centre_model"}
    with pytest.raises(CheckpointError, match=r"has centre\.\S+ too much"):
        load_denoiser(rewritten(path, state, unnamed))


def test_what_is_no_float_regression_network_is_refused(tmp_path: Path, source: Path) -> None:
    denoiser = write_denoiser(tmp_path / "px.safetensors", None)
    with pytest.raises(CheckpointError, match="is of the diffusion denoiser 'resshift_px_s'"):
        load_centre(denoiser)
    integers = tmp_path / "integers.safetensors"
    state, _ = read_weights(source)
    save_weights(integers, state, model="espcn", scale=2, metadata={"scheme": "wi8_ai8"})
    with pytest.raises(CheckpointError, match=r"holds integers \(wi8_ai8\), want a float network"):
        load_centre(integers)
    plain = tmp_path / "plain.pth"
    torch.save(nn.Conv2d(3, 3, 1).state_dict(), plain)
    with pytest.raises(CheckpointError, match="does not say which network it is of"):
        load_centre(plain)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_centre(tmp_path / "missing.safetensors")
