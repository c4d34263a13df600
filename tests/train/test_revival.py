"""Dead channels begin anew, and the network computes what it did."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgesr.errors import ConfigError
from edgesr.models import build_model
from edgesr.train.config import TrainConfig
from edgesr.train.muon import Muon
from edgesr.train.revival import Revival, make_revival
from edgesr.train.state import load_state
from edgesr.train.switches import check_switches
from tests.train.running import stop_at
from tests.train.switched import SETTINGS, Photo, pairs, trained_events

go = partial(trained_events, {**SETTINGS, "revive_every": 3})
_DEAD = (2, 5)


def _photo() -> Tensor:
    return 255 * torch.rand(2, 3, 24, 24)


def _network() -> Any:
    """Return a network two of whose channels behind the second layer are dead."""
    torch.manual_seed(0)
    network: Any = build_model("edge_s", 2).train()
    x = _photo()
    with torch.no_grad():
        for layer in network.body:
            if isinstance(layer, nn.Conv2d):
                layer.get_parameter("bias").sub_(layer(x).mean((0, 2, 3)))
            x = layer(x)
        network.body[2].bias[list(_DEAD)] = -1e5
    return network


def _revived(network: Any, x: Tensor, *, step: int = 9) -> tuple[tuple[str, ...], Any]:
    averaged, optimizer = copy.deepcopy(network), Muon([{"params": network.parameters()}], lr=1e-3)
    revival = Revival(network, every=5, steps=100, seed=0)
    network(x).square().mean().backward()
    optimizer.step()
    found = revival.after_update(step, averaged, optimizer)
    return found, optimizer


def test_the_output_stays_and_about_half_of_the_inputs_pass() -> None:
    network, x = _network(), _photo()
    averaged = copy.deepcopy(network)
    revival = Revival(network, every=5, steps=100, seed=0)
    before = network(x).detach()
    still = torch.optim.SGD(network.parameters(), lr=0.0)
    assert revival.after_update(9, averaged, still) == ("body.4",)
    assert revival.report() == {"revived": len(_DEAD)}
    assert revival.report() == {}
    assert torch.equal(network(x).detach(), before)
    torch.testing.assert_close(averaged.train()(x), before)
    passed = (network.body[:4](x) > 0).double().mean((0, 2, 3))
    for channel in _DEAD:
        assert 0.15 < passed[channel] < 0.85
    for mine, theirs in zip(network.parameters(), averaged.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_revived_channel_learns() -> None:
    network, x = _network(), _photo()
    optimizer = Muon([{"params": network.parameters()}], lr=1e-3)
    revival = Revival(network, every=5, steps=100, seed=0)
    for step in (9, 10, 11):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()
        revival.after_update(step, copy.deepcopy(network), optimizer)
    assert network.body[2].weight.grad[list(_DEAD)].abs().sum() > 0
    assert network.body[4].weight[:, list(_DEAD)].abs().sum() > 0


def test_the_optimizer_forgets_the_old_channels_alone() -> None:
    network = _network()
    found, optimizer = _revived(network, _photo())
    assert found == ("body.4",)
    written = optimizer.state[network.body[2].weight]["momentum"]
    read = optimizer.state[network.body[4].weight]["momentum"]
    biases = optimizer.state[network.body[2].bias]["mean"]
    for channel in _DEAD:
        assert not written[channel].any()
        assert not read[:, channel].any()
        assert not biases[channel].any()
        squares = optimizer.state[network.body[2].bias]["square"]
        assert 0 < squares[channel] < squares.max()
    assert written[0].any()
    assert read[:, 0].any()
    assert optimizer.state[network.body[4].bias]["mean"].all()


@pytest.mark.parametrize("step", [7, 8, 84])
def test_between_the_looks_and_at_the_end_of_a_run_nothing_is_changed(step: int) -> None:
    network = _network()
    assert _revived(network, _photo(), step=step)[0] == ()
    assert (network.body[2].bias[list(_DEAD)] < -1e4).all()


def test_a_channel_that_passed_once_since_the_last_look_lives() -> None:
    network, x = _network(), _photo()
    revival = Revival(network, every=5, steps=100, seed=0)
    with torch.no_grad():
        network.body[2].bias[_DEAD[0]] = 0.0
        network(x)
        network.body[2].bias[_DEAD[0]] = -1e5
    network(x)
    still = torch.optim.SGD(network.parameters(), lr=0.0)
    assert revival.after_update(4, copy.deepcopy(network), still) == ("body.4",)
    assert revival.report() == {"revived": 1}
    network(x)
    revival.after_update(9, copy.deepcopy(network), still)
    assert revival.report() == {"revived": 1}


def test_a_layer_that_is_dead_as_a_whole_is_left_alone() -> None:
    network = _network()
    with torch.no_grad():
        network.body[2].bias.fill_(-1e5)
    before = network.body[2].weight.detach().clone()
    revival = Revival(network, every=1, steps=100, seed=0)
    network(_photo())
    still = torch.optim.SGD(network.parameters(), lr=0.0)
    revival.after_update(0, copy.deepcopy(network), still)
    assert torch.equal(network.body[2].weight, before)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, photo: Photo) -> None:
    images = pairs(photo, 2)
    changes: dict[str, Any] = {"whitened": True, "optimizer": "muon", "steps": 8}
    go(tmp_path / "whole", images, **changes)
    go(tmp_path / "parts", images, stop_at(4), **changes)
    peaks = load_state(tmp_path / "parts").kept["revival"]
    assert peaks["2"].shape == (16,)
    go(tmp_path / "parts", images, **changes)
    whole, parts = (tmp_path / one / "last.safetensors" for one in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


def test_where_it_cannot_be_it_is_refused() -> None:
    assert make_revival(TrainConfig(), nn.Identity()) is None
    with pytest.raises(ConfigError, match="revive_every = 9: steps = 11, and nothing is revived"):
        check_switches(TrainConfig(revive_every=9, steps=11))
    with pytest.raises(ConfigError, match="revive_every = 9: branches are folded"):
        check_switches(TrainConfig(model="edge_s", revive_every=9, form="training"))
    for model in ("xlsr", "quicksrnet_s", "sesr_m3"):
        with pytest.raises(ConfigError, match=f"revive_every = 9: {model} is not a row"):
            check_switches(TrainConfig(model=model, revive_every=9))
    with pytest.raises(ConfigError, match="revive_every = 9: model = resshift_px_s is a denoiser"):
        check_switches(TrainConfig(model="resshift_px_s", scale=4, revive_every=9))
    with pytest.raises(ConfigError, match="revive_every = 9: reads inputs of layers"):
        check_switches(TrainConfig(revive_every=9, compile=True))
    with pytest.raises(ConfigError, match="revive_every = -1: want at least 0"):
        TrainConfig(revive_every=-1)
    check_switches(TrainConfig(model="ncnet", revive_every=9))


def test_what_passed_before_a_stop_is_known_after_it() -> None:
    """A channel that died in between is not revived at the first look."""
    network, x = _network(), _photo()
    first = Revival(network, every=5, steps=100, seed=0)
    with torch.no_grad():
        network.body[2].bias[list(_DEAD)] = 0.0
        network(x)
        network.body[2].bias[list(_DEAD)] = -1e5
    still = torch.optim.SGD(network.parameters(), lr=0.0)
    for known, wanted in ((first.state_dict(), ()), ({}, ("body.4",))):
        resumed: Any = copy.deepcopy(network)
        later = Revival(resumed, every=5, steps=100, seed=0)
        later.load_state_dict(known)
        resumed(x)
        assert later.after_update(4, copy.deepcopy(resumed), still) == wanted
