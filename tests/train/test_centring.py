"""Centred steps against the network that subtracts the means itself."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgesr.errors import CheckpointError, ConfigError
from edgesr.train.centring import Centring
from edgesr.train.config import TrainConfig
from edgesr.train.muon import Muon
from edgesr.train.state import load_state
from edgesr.train.switches import check_switches
from tests.train.running import stop_at
from tests.train.switched import SETTINGS, Photo, pairs, trained_events

go = partial(trained_events, {**SETTINGS, "centred": True, "optimizer": "muon"})


class _Explicit(nn.Module):
    """A convolution of inputs whose means are taken off beforehand."""

    def __init__(self, conv: nn.Conv2d, mean: Tensor) -> None:
        super().__init__()
        self.conv, self.mean = conv, mean

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x - self.mean[:, None, None])
        return found


def _inputs(mean: Tensor, count: int) -> list[Tensor]:
    """Return batches whose mean over images and places is ``mean`` to the last bit or so."""
    noise = [torch.randn(2, len(mean), 9, 9, dtype=torch.float64) for _ in range(count)]
    return [n - n.mean((0, 2, 3), keepdim=True) + mean[:, None, None] for n in noise]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("make", [partial(torch.optim.SGD, lr=1e-3), partial(Muon, lr=1e-2)])
def test_steps_are_those_of_a_network_that_takes_the_means_off(make: Any, groups: int) -> None:
    torch.manual_seed(0)
    mean = torch.tensor([120.0, 90.0, 3.0, 40.0], dtype=torch.float64)
    mine = nn.Conv2d(4, 6, 3, groups=groups).double()
    theirs = nn.Conv2d(4, 6, 3, groups=groups).double()
    per_output = mean.view(groups, -1).repeat_interleave(6 // groups, 0)

    def uncentred_bias(conv: nn.Conv2d) -> Tensor:
        taps = conv.weight.sum((2, 3))
        return conv.get_parameter("bias").detach() - (taps * per_output).sum(1).detach()

    with torch.no_grad():
        theirs.weight.copy_(mine.weight)
        taken = (mine.weight.sum((2, 3)) * per_output).sum(1)
        theirs.get_parameter("bias").copy_(mine.get_parameter("bias") + taken)
    explicit = _Explicit(theirs, mean)
    ours, plain = (make([{"params": list(conv.parameters())}]) for conv in (mine, theirs))
    centring = Centring(mine)
    target = torch.randn(2, 6, 7, 7, dtype=torch.float64)
    for x in _inputs(mean, 5):
        for network, optimizer in ((mine, ours), (explicit, plain)):
            optimizer.zero_grad()
            (network(x) - target).square().mean().backward()
            if network is mine:
                centring.before_update()
            optimizer.step()
        centring.after_update(0.0)
    torch.testing.assert_close(mine.weight, theirs.weight, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(
        mine.get_parameter("bias").detach(), uncentred_bias(theirs), rtol=1e-6, atol=1e-5
    )


def test_without_it_bright_inputs_move_the_mean_of_the_output_far() -> None:
    def jump(*, centred: bool) -> float:
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 8, 3, padding=1)
        optimizer = Muon([{"params": [conv.weight]}, {"params": [conv.bias]}], lr=6e-3)
        centring = Centring(conv)
        x = 128 + 20 * torch.randn(4, 3, 16, 16)
        before = conv(x).detach().mean((0, 2, 3))
        conv(x).square().mean().backward()
        if centred:
            centring.before_update()
        optimizer.step()
        centring.after_update(0.0)
        return float((conv(x).detach().mean((0, 2, 3)) - before).abs().max())

    assert jump(centred=True) < 0.2 * jump(centred=False)


def test_what_stands_still_is_left_alone_and_evaluation_leaves_no_trace() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 3, 1))
    centring = Centring(network)
    network.eval()(torch.rand(1, 3, 4, 4)).sum().backward()
    centring.before_update()
    assert centring.state_dict() == {}
    network.train()(torch.rand(1, 3, 4, 4)).sum().backward()
    centring.before_update()
    assert set(centring.state_dict()) == {"2"}


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, photo: Photo) -> None:
    images = pairs(photo, 2)
    go(tmp_path / "whole", images)
    go(tmp_path / "parts", images, stop_at(4))
    assert set(load_state(tmp_path / "parts").kept["centring"]) == {
        f"body.{2 * i}" for i in range(8)
    }
    go(tmp_path / "parts", images)
    whole, parts, plain = (tmp_path / one / "last.safetensors" for one in ("whole", "parts", "n"))
    assert whole.read_bytes() == parts.read_bytes()
    go(tmp_path / "n", images, centred=False)
    assert plain.read_bytes() != whole.read_bytes()
    go(tmp_path / "mixed", images, stop_at(4), centred=False)
    with pytest.raises(CheckpointError, match="lacks centring"):
        go(tmp_path / "mixed", images)


def test_a_teacher_that_grows_along_is_centred_too(tmp_path: Path, photo: Photo) -> None:
    images = pairs(photo, 2)
    go(tmp_path / "whole", images, gap_weight=1.0)
    go(tmp_path / "parts", images, stop_at(4), gap_weight=1.0)
    means = load_state(tmp_path / "parts").kept["gap_teacher_centring"]
    assert means["body.2"].shape == (32,)
    go(tmp_path / "parts", images, gap_weight=1.0)
    whole, parts = (tmp_path / one / "last.safetensors" for one in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


def test_where_it_does_not_belong_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="centred = true: model = resshift_px_s is a denoiser"):
        check_switches(TrainConfig(model="resshift_px_s", scale=4, centred=True))
    with pytest.raises(ConfigError, match="centred = true: qat = true trains integers"):
        check_switches(TrainConfig(centred=True, qat=True, start_from=Path("r")))
    with pytest.raises(ConfigError, match="centred = true: branches are folded at every step"):
        check_switches(TrainConfig(centred=True, form="training"))
    with pytest.raises(ConfigError, match="centred = true: reads inputs of layers"):
        check_switches(TrainConfig(centred=True, compile=True))
