"""Whitened steps: what a layer computes may not depend on the coordinates of its inputs."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgesr.errors import CheckpointError, ConfigError
from edgesr.train import whitening
from edgesr.train.centring import Centring
from edgesr.train.config import TrainConfig
from edgesr.train.muon import Muon
from edgesr.train.state import load_state
from edgesr.train.switches import check_switches
from edgesr.train.whitening import Whitening, make_centring
from tests.train.running import stop_at
from tests.train.switched import SETTINGS, Photo, pairs, trained_events

_RATE = 0.05
_OPTIMIZERS = [partial(torch.optim.SGD, lr=1e-3), partial(Muon, lr=1e-2)]
go = partial(trained_events, {**SETTINGS, "whitened": True, "optimizer": "muon"})


def _conv(inputs: int, outputs: int, size: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size).double()


def _blocks(channels: int, mean: float = 40.0) -> Tensor:
    """Return ``(2, channels, 48, 48)`` of constant squares, so that a coarse grid sees it all."""
    squares = torch.randn(2, channels, 6, 6, dtype=torch.float64) + mean
    return squares.repeat_interleave(8, 2).repeat_interleave(8, 3)


def _learn(conv: nn.Conv2d, make: Any, batches: list[Tensor], target: Tensor) -> list[Tensor]:
    """Return what ``conv`` makes of every batch after the step on it."""
    optimizer = make([{"params": list(conv.parameters())}])
    steps = Whitening(conv.train())
    found = []
    for x in batches:
        optimizer.zero_grad()
        (conv(x) - target).square().mean().backward()
        steps.before_update()
        optimizer.step()
        steps.after_update(_RATE)
        found.append(conv(x).detach())
    return found


@pytest.mark.parametrize("make", _OPTIMIZERS)
def test_any_mixture_of_the_input_channels_learns_the_same(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whitening, "_DAMPING", 0.0)
    torch.manual_seed(0)
    batches = [_blocks(4)] * 6  # other batches would turn the coordinates of Muon's momentum
    target = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    mixture = torch.randn(4, 4, dtype=torch.float64) + 3 * torch.eye(4)
    plain, mixed = _conv(4, 3), _conv(4, 3)
    with torch.no_grad():
        mixed.weight.copy_((plain.weight.flatten(1) @ mixture.inverse()).view_as(plain.weight))
        mixed.get_parameter("bias").copy_(plain.get_parameter("bias"))
    seen = [torch.einsum("ij,njhw->nihw", mixture, x) for x in batches]
    ours = _learn(plain, make, batches, target)
    theirs = _learn(mixed, make, seen, target)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", _OPTIMIZERS)
@pytest.mark.parametrize("size", [1e-2, 1.0, 1e3])
def test_a_step_changes_outputs_by_the_rate_times_what_they_vary(make: Any, size: float) -> None:
    torch.manual_seed(0)
    conv, x = _conv(5, 4), _blocks(5)
    with torch.no_grad():
        conv.weight *= size
    bias = conv.get_parameter("bias")
    before = conv(x).detach()
    _learn(conv, make, [x], before + torch.randn_like(before))
    with torch.no_grad():
        moved = nn.functional.conv2d(x, conv.weight, bias) - before
    moved -= moved.mean((0, 2, 3), keepdim=True)
    before -= before.mean((0, 2, 3), keepdim=True)
    share = moved.square().mean().sqrt() / before.square().mean().sqrt()
    assert float(share) == pytest.approx(_RATE, rel=1e-6)


def test_the_bias_keeps_the_means_of_the_outputs() -> None:
    torch.manual_seed(0)
    conv, x = _conv(5, 4), _blocks(5)
    before = conv(x).detach().mean((0, 2, 3))
    optimizer = torch.optim.SGD([conv.weight], lr=1e-3)
    steps = Whitening(conv)
    conv(x).square().mean().backward()
    steps.before_update()
    optimizer.step()
    steps.after_update(_RATE)
    torch.testing.assert_close(conv(x).detach().mean((0, 2, 3)), before)


def test_a_layer_of_groups_and_a_kernel_larger_than_the_patch_are_centred_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2, padding=1), nn.Conv2d(4, 3, 9, padding=4), nn.Conv2d(3, 3, 1)
    )
    theirs = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2, padding=1), nn.Conv2d(4, 3, 9, padding=4), nn.Conv2d(3, 3, 1)
    )
    theirs.load_state_dict(network.state_dict())
    x = torch.rand(1, 4, 8, 8)
    for one, steps in ((network, Whitening(network)), (theirs, Centring(theirs))):
        optimizer = torch.optim.SGD(one.parameters(), lr=1e-2)
        one(x).square().mean().backward()
        steps.before_update()
        optimizer.step()
        steps.after_update(_RATE)
    for i, same in enumerate((True, True, False)):
        pair = [one[i].get_parameter("weight") for one in (network, theirs)]
        assert torch.equal(*pair) == same


@pytest.mark.parametrize("make", [*_OPTIMIZERS, partial(torch.optim.Adam, lr=1e-3)])
def test_a_layer_whose_inputs_do_not_vary_keeps_its_weights(make: Any) -> None:
    torch.manual_seed(0)
    conv, x = _conv(3, 2), _blocks(3)
    before = conv.weight
    optimizer, steps = make([{"params": list(conv.parameters())}]), Whitening(conv)
    for index in range(200):
        optimizer.zero_grad()
        (conv(x if index < 5 else torch.zeros_like(x)) - 1).square().mean().backward()
        steps.before_update()
        optimizer.step()
        steps.after_update(_RATE)
        if index == 5:
            before = conv.weight.detach().clone()
    assert torch.equal(conv.weight, before)


def test_forgotten_layers_are_known_by_the_next_batch_alone() -> None:
    conv = _conv(3, 2)
    steps = Whitening(conv)
    for x in (_blocks(3), 9 * _blocks(3)):
        conv.zero_grad()
        conv(x).sum().backward()
        steps.before_update()
        steps.forget([""])
    conv.zero_grad()
    conv(x).sum().backward()
    steps.before_update()
    seen = x.permute(1, 0, 2, 3).flatten(1).cov(correction=0)
    torch.testing.assert_close(steps.state_dict()["covariances"][""], seen)


def test_what_is_no_number_leaves_the_coordinates_as_they_are() -> None:
    conv = _conv(3, 2)
    steps = Whitening(conv)
    for x in (_blocks(3), torch.full((1, 3, 8, 8), float("nan"), dtype=torch.float64)):
        conv.zero_grad()
        conv(x).sum().backward()
        steps.before_update()
        root = steps.state_dict()["roots"][""]
        assert root.isfinite().all()


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, photo: Photo) -> None:
    images = pairs(photo, 2)
    go(tmp_path / "whole", images)
    go(tmp_path / "parts", images, stop_at(4))
    kept = load_state(tmp_path / "parts").kept["whitening"]
    assert set(kept) == {"means", "covariances", "roots", "count"}
    assert kept["count"] == 4
    assert kept["covariances"]["body.2"].shape == (144, 144)
    go(tmp_path / "parts", images)
    whole, parts, plain = (tmp_path / one / "last.safetensors" for one in ("whole", "parts", "n"))
    assert whole.read_bytes() == parts.read_bytes()
    go(tmp_path / "n", images, whitened=False, centred=True)
    assert plain.read_bytes() != whole.read_bytes()


def test_a_run_that_began_otherwise_is_not_gone_on_with(tmp_path: Path, photo: Photo) -> None:
    images = pairs(photo, 2)
    for centred in (False, True):
        folder = tmp_path / str(centred)
        go(folder, images, stop_at(4), whitened=False, centred=centred)
        with pytest.raises(CheckpointError, match="lacks whitening"):
            go(folder, images)


def test_a_teacher_that_grows_along_is_whitened_too(tmp_path: Path, photo: Photo) -> None:
    go(tmp_path, pairs(photo, 2), gap_weight=1.0)
    kept = load_state(tmp_path).kept["gap_teacher_whitening"]
    assert kept["roots"]["body.2"].shape == (288, 288)


def test_settings_say_which_and_refuse_what_does_not_go_together() -> None:
    network = nn.Conv2d(1, 1, 1)
    assert make_centring(TrainConfig(), network) is None
    assert type(make_centring(TrainConfig(centred=True), network)) is Centring
    assert isinstance(make_centring(TrainConfig(whitened=True, centred=True), network), Whitening)
    with pytest.raises(ConfigError, match="whitened = true: model = resshift_px_s is a denoiser"):
        check_switches(TrainConfig(model="resshift_px_s", scale=4, whitened=True))
    with pytest.raises(ConfigError, match="whitened = true: qat = true trains integers"):
        check_switches(TrainConfig(whitened=True, qat=True, start_from=Path("r")))
    with pytest.raises(ConfigError, match=r"whitened = true: branches.* --no-whitened"):
        check_switches(TrainConfig(whitened=True, form="training"))
    with pytest.raises(ConfigError, match=r"whitened = true: xlsr: layer .* has groups"):
        check_switches(TrainConfig(model="xlsr", whitened=True))
    with pytest.raises(ConfigError, match=r"grad_clip = 1\.0: whitened = true: the length"):
        check_switches(TrainConfig(whitened=True, grad_clip=1.0))
    with pytest.raises(ConfigError, match="whitened = true: reads inputs of layers"):
        check_switches(TrainConfig(whitened=True, compile=True))
