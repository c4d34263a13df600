"""A network that starts with the weights of a trained one, of its scale or of another."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from edgesr.cli import run
from edgesr.errors import CheckpointError, ConfigError
from edgesr.models import build_model
from edgesr.models.checkpoint import load_model, save_weights
from edgesr.train.config import TrainConfig
from edgesr.train.folder import config_toml
from edgesr.train.regression import Regression
from edgesr.train.state import load_state
from edgesr.train.warm_start import between_scales, load_warm_start
from tests.train.running import stop_at
from tests.train.switched import SETTINGS, Photo, pairs, trained_events

if TYPE_CHECKING:
    from edgesr.data.cache import DecodedImages

go = partial(trained_events, SETTINGS)


def _trained(folder: Path, model: str, scale: int) -> Path:
    """Write a network whose weights are all away from their start."""
    torch.manual_seed(1)
    module = build_model(model, scale)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.02 * torch.randn_like(value))
    path = folder / f"{model}_x{scale}.safetensors"
    save_weights(path, module.state_dict(), model=model, scale=scale)
    return path


def _started(path: Path, model: str, scale: int) -> tuple[nn.Module, str]:
    config = TrainConfig(**{**SETTINGS, "model": model, "scale": scale, "start_from": path})
    start = load_warm_start(config)
    assert start is not None
    return Regression(config=config, start=start).build(), str(start)


def test_of_the_same_scale_it_starts_as_the_same_network(tmp_path: Path) -> None:
    path = _trained(tmp_path, "ncnet", 3)
    network, said = _started(path, "ncnet", 3)
    lr = 255 * torch.rand(1, 3, 9, 7)
    wanted = load_model(path).module(lr)
    torch.testing.assert_close(network.eval()(lr), wanted)
    assert said == "starts with the weights of ncnet x3"


@pytest.mark.parametrize(("before", "after"), [(3, 4), (3, 2), (2, 4), (4, 2)])
def test_of_another_scale_the_features_stay_and_the_last_layer_is_resized(
    tmp_path: Path, before: int, after: int
) -> None:
    path = _trained(tmp_path, "edge_s", before)
    network, said = _started(path, "edge_s", after)
    had, got = load_model(path).module.state_dict(), network.state_dict()
    last = ("body.14.bias", "body.14.weight")
    assert said == (
        f"starts with the weights of edge_s x{before}; resized between the scales: "
        f"{', '.join(reversed(last))}"
    )
    for name in had.keys() - {*last, "anchor.weight"}:
        assert torch.equal(got[name], had[name])
    assert torch.equal(
        got["anchor.weight"], build_model("edge_s", after).state_dict()["anchor.weight"]
    )


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 4), (4, 3), (3, 2), (3, 3)])
def test_a_detail_that_is_a_ramp_is_the_same_ramp_at_another_scale(before: int, after: int) -> None:
    def ramp(scale: int) -> torch.Tensor:
        """Offsets of the subpixels' centres from the pixel's, a colour each: x, y, constant."""
        centres = (torch.arange(scale) + 0.5) / scale - 0.5
        x, y = centres.expand(scale, scale), centres[:, None].expand(scale, scale)
        return torch.stack([x, y, torch.ones(scale, scale)]).reshape(-1)

    found = between_scales(ramp(before), before, after)
    wanted = ramp(after)
    inside = wanted.abs() <= 0.5 - 0.5 / before + 1e-6  # further out it is clamped
    inside[-(after**2) :] = True
    assert inside.sum() >= after**2 + 2
    torch.testing.assert_close(found[inside], wanted[inside])
    kernels = torch.randn(5)
    weight = ramp(before)[:, None] * kernels
    torch.testing.assert_close(
        between_scales(weight, before, after), found[:, None] * kernels, rtol=1e-4, atol=1e-6
    )


def test_what_no_layer_was_found_for_is_named(tmp_path: Path) -> None:
    network, said = _started(_trained(tmp_path, "ncnet", 3), "ncnet", 2)
    wanted = ["body.10.bias", "body.10.weight", "body.12.bias", "body.12.weight"]
    assert said.endswith(f"; fresh: {', '.join(wanted)}")
    assert "resized" not in said
    fresh = network.get_submodule("body").get_submodule("12").get_parameter("weight")
    assert float(fresh.detach().std()) > 0


def test_it_begins_where_the_trained_network_is_and_says_so_in_its_files(
    tmp_path: Path, photo: Photo
) -> None:
    images = pairs(photo, 2)
    path = _trained(tmp_path, "edge_s", 2)
    still: dict[str, Any] = {"learning_rate": 1e-9, "min_learning_rate": 1e-9, "ema_decay": 0.0}
    go(tmp_path / "r", images, start_from=path, **still)
    loaded = load_model(tmp_path / "r" / "last.safetensors")
    for name, value in load_model(path).module.state_dict().items():
        torch.testing.assert_close(loaded.module.state_dict()[name], value, rtol=0, atol=1e-6)
    assert loaded.metadata["start"] == "edge_s x2"
    assert len(loaded.metadata["start_sha256"]) == 64


def test_a_resumed_run_ends_with_the_same_bits_and_wants_the_same_start(
    tmp_path: Path, photo: Photo
) -> None:
    images = pairs(photo, 2)
    path = _trained(tmp_path, "edge_s", 3)
    go(tmp_path / "whole", images, start_from=path)
    go(tmp_path / "parts", images, stop_at(4), start_from=path)
    assert load_state(tmp_path / "parts").step == 4
    go(tmp_path / "parts", images, start_from=path)
    first, second = ((tmp_path / n / "last.safetensors").read_bytes() for n in ("whole", "parts"))
    assert first == second
    other = _trained(tmp_path, "edge_s", 4)
    config = TrainConfig(**{**SETTINGS, "start_from": other})
    with pytest.raises(ConfigError, match="put the first file back"):
        load_warm_start(config, resume=tmp_path / "parts")


def test_a_shipped_name_stays_a_name_in_the_settings_of_the_run() -> None:
    config = TrainConfig(**{**SETTINGS, "model": "ncnet", "start_from": Path("ncnet_x3")})
    assert 'start_from = "ncnet_x3"' in config_toml(config)
    start = load_warm_start(config)
    assert start is not None
    assert start.title == "ncnet x3"


def test_what_cannot_start_so_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _trained(tmp_path, "edge_s", 3)
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"form": "training"}, ConfigError, "branches cannot be told from it; drop --form"),
        ({"start_from": tmp_path / "none"}, CheckpointError, "no such run, weights file"),
        ({"model": "resshift_px_s", "scale": 4}, ConfigError, "takes it with --qat, or --distill"),
    ]
    for changes, kind, message in cases:
        config = TrainConfig(**{**SETTINGS, "start_from": path, **changes})
        with pytest.raises(kind, match=message):
            load_warm_start(config)
    (tmp_path / "bad.safetensors").write_bytes(b"\0" * 40)
    assert run(["train", "--from", str(tmp_path / "bad.safetensors"), "--dry-run"]) == 3
    assert "bad.safetensors" in capsys.readouterr().err


def test_the_command_says_what_it_starts_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--model", "ncnet", "--scale", "4", "--from", "ncnet_x3", "--dry-run"]
    assert run(["train", *flags]) == 0
    assert "starts with the weights of ncnet x3; fresh: body.10" in capsys.readouterr().err


def test_pictures_of_another_scale_are_near_from_the_start(photo: Photo) -> None:
    config = TrainConfig(
        **{**SETTINGS, "model": "ncnet", "scale": 3, "start_from": Path("ncnet_x3")}
    )
    images: DecodedImages = pairs(photo, 3)
    network = Regression(config=config, start=load_warm_start(config)).build().eval()
    lr = torch.from_numpy(images.lr[0]).permute(2, 0, 1)[None].float()
    found = network(lr)[0].permute(1, 2, 0).detach().numpy()
    plain = build_model("ncnet", 3).eval()(lr)[0].permute(1, 2, 0).detach().numpy()
    error, before = (np.square(x - images.hr[0]).mean() for x in (found, plain))
    assert error < before


@pytest.mark.parametrize(("small", "large"), [("ncnet", "edge_l"), ("edge_m", "edge_l")])
def test_a_larger_row_starts_as_the_same_function_and_every_weight_can_learn(
    tmp_path: Path, small: str, large: str
) -> None:
    path = _trained(tmp_path, small, 3)
    network, said = _started(path, large, 3)
    lr, hr = 255 * torch.rand(2, 3, 12, 10), 255 * torch.rand(2, 3, 36, 30)
    wanted = load_model(path).module(lr)
    assert float((network.eval()(lr) - wanted).detach().abs().max()) < 1e-3  # grey levels
    assert said == f"starts with the weights of {small} x3"
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6)
    for _ in range(2):
        optimizer.zero_grad()
        (network.train()(lr) - hr).square().mean().backward()
        optimizer.step()
    for parameter in network.parameters():
        assert parameter.grad is not None
        moves = parameter.grad.reshape(len(parameter), -1).any(1)
        assert float(moves.float().mean()) > 0.9  # a fresh ReLU may be off everywhere


@pytest.mark.parametrize(
    ("small", "large", "message"),
    [
        ("edge_l", "edge_m", "EdgeNet does not fit into EdgeNet: 8 layers and 5"),
        ("ncnet", "abpn", "NCNet does not fit into ABPN: 32 channels and 28"),
        ("espcn", "edge_l", "ESPCN: is not just a row"),
        ("sesr_m3", "edge_s", "is not just a row"),
        ("edge_s", "sesr_m11", "is not just a row"),
        ("ecbsr_m4c32", "ncnet", "is not just a row|does not fit"),
        ("edge_m", "ncnet", "EdgeNet does not fit into NCNet: 32 channels and 27"),
    ],
)
def test_what_cannot_grow_into_the_network_is_refused(
    tmp_path: Path, small: str, large: str, message: str
) -> None:
    path = _trained(tmp_path, small, 3)
    config = TrainConfig(**{**SETTINGS, "model": large, "scale": 3, "start_from": path})
    with pytest.raises(ConfigError, match=message):
        load_warm_start(config)
    other = TrainConfig(**{**SETTINGS, "model": large, "scale": 2, "start_from": path})
    with pytest.raises(ConfigError, match="can only grow at that scale; want --scale 3"):
        load_warm_start(other)
