"""The gain of colour differences in the pixel loss."""

from functools import partial
from pathlib import Path

import pytest
import torch

from edgesr.errors import ConfigError
from edgesr.train.config import TrainConfig
from edgesr.train.losses import chroma_gain_at, loss_at, with_chroma_gain
from edgesr.train.switches import check_switches
from tests.train.switched import SETTINGS, Photo, pairs, trained_events

go = partial(trained_events, SETTINGS)


def test_grey_errors_count_as_before_and_colour_errors_times_the_gain() -> None:
    grey = torch.randn(2, 1, 4, 5).expand(2, 3, 4, 5)
    torch.testing.assert_close(with_chroma_gain(grey, 3.0), grey)
    colour = torch.randn(2, 3, 4, 5)
    colour = colour - colour.mean(1, keepdim=True)
    torch.testing.assert_close(with_chroma_gain(colour, 3.0), 3 * colour)
    both = with_chroma_gain(grey + colour, 3.0)
    torch.testing.assert_close(both, grey + 3 * colour)


def test_squares_of_brightness_and_colour_add_up() -> None:
    config = TrainConfig(**{**SETTINGS, "loss": "l2", "chroma_gain": 2.0})
    sr, hr = torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6)
    grey = (sr - hr).mean(1, keepdim=True)
    colour = sr - hr - grey
    wanted = grey.square().mean() + 4 * colour.square().mean()
    torch.testing.assert_close(loss_at(config, 0)(sr, hr), wanted)


def test_it_falls_to_the_loss_of_rgb() -> None:
    config = TrainConfig(**{**SETTINGS, "chroma_gain": 3.0, "steps": 10})
    gains = [chroma_gain_at(config, step) for step in (0, 5, 10)]
    assert gains == pytest.approx([3.0, 2.0, 1.0])
    plain = TrainConfig(**{**SETTINGS, "steps": 10})
    assert {chroma_gain_at(plain, step) for step in range(10)} == {1.0}


@pytest.mark.parametrize("loss", ["l1", "charbonnier", "l2"])
def test_every_loss_takes_it(loss: str, tmp_path: Path, photo: Photo) -> None:
    images = pairs(photo, 2)
    files = []
    for gain in (1.0, 2.0):
        go(tmp_path / str(gain), images, loss=loss, chroma_gain=gain)
        files.append((tmp_path / str(gain) / "last.safetensors").read_bytes())
    assert files[0] != files[1]


def test_where_it_does_not_belong_it_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"chroma_gain = 2.0: model = resshift_px_s is a denoiser"
    ):
        check_switches(TrainConfig(model="resshift_px_s", scale=4, chroma_gain=2.0))
    with pytest.raises(ConfigError, match=r"chroma_gain = 2.0: qat = true"):
        check_switches(TrainConfig(qat=True, start_from=Path("r"), chroma_gain=2.0))
    with pytest.raises(ConfigError, match="chroma_gain = -1"):
        TrainConfig(chroma_gain=-1)
