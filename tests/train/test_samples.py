"""Pictures of held-out crops, and the page of a run."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.data.cache import DecodedImages
from edgesr.errors import ConfigError
from edgesr.images import read_image
from edgesr.imresize import downscale, upscale_bicubic
from edgesr.train.breakdown import Breakdown, StateBreakdown
from edgesr.train.config import TrainConfig
from edgesr.train.loop import train
from edgesr.train.losses import frequency_losses
from edgesr.train.run_page import write_page
from edgesr.train.runlog import RunLog
from edgesr.train.samples import SIDE, sample_grid
from edgesr.train.state import load_state

SETTINGS: dict[str, Any] = {
    "scale": 2,
    "steps": 4,
    "batch_size": 2,
    "patch_size": 8,
    "val_every": 2,
    "save_every": 2,
    "log_every": 1,
    "precision": "fp32",
}


@pytest.fixture
def images(photo: Callable[..., NDArray[np.uint8]]) -> DecodedImages:
    hr = (photo(160, 200, 0), photo(48, 64, 1), photo(48, 64, 2))
    lr = tuple(downscale(one, 2) for one in hr)
    return DecodedImages(scale=2, names=("a", "b", "c"), lr=lr, hr=hr, sha256=("", "", ""))


def run(folder: Path, images: DecodedImages, **changes: Any) -> None:
    folder.mkdir(exist_ok=True)
    train(
        TrainConfig(**{**SETTINGS, **changes}),
        folder,
        images=images,
        held_out=images,
        metadata={},
        state=load_state(folder) if (folder / "training_state.pt").exists() else None,
    )


def test_a_row_shows_bicubic_the_network_and_the_photograph(images: DecodedImages) -> None:
    def pictures(lr: Tensor) -> dict[str, Tensor]:
        assert lr.max() > 1
        return {"flat": torch.full((1, 3, 2 * lr.shape[2], 2 * lr.shape[3]), 300.0)}

    grid = sample_grid(pictures, images, count=2, device=torch.device("cpu"))
    cell = SIDE + 4
    assert grid.shape == (16 + 2 * cell - 4, 3 * cell - 4, 3)
    first = grid[16 : 16 + SIDE]
    top, left = 16, 36  # the middle of 160 x 200
    lr = np.asarray(images.lr[0])[top // 2 : top // 2 + 64, left // 2 : left // 2 + 64]
    assert np.array_equal(first[:, :SIDE], upscale_bicubic(lr, 2))
    assert (first[:, cell : cell + SIDE] == 255).all()
    photograph = np.asarray(images.hr[0])[top : top + SIDE, left : left + SIDE]
    assert np.array_equal(first[:, 2 * cell : 2 * cell + SIDE], photograph)
    second = grid[16 + cell : 16 + cell + 48, 2 * cell : 2 * cell + 64]
    assert np.array_equal(second, np.asarray(images.hr[1]))


def test_every_validation_leaves_a_picture_and_the_page_holds_them(
    tmp_path: Path, images: DecodedImages
) -> None:
    run(tmp_path / "r", images)
    names = sorted(path.name for path in (tmp_path / "r" / "samples").iterdir())
    assert names == ["step_000002.png", "step_000004.png"]
    page = (tmp_path / "r" / "samples.html").read_text()
    assert "<h1>ncnet x2</h1>" in page
    assert page.count("<polyline") == 2  # loss and PSNR
    assert page.index("step 4") < page.index("step 2")
    held = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", page)]
    assert held == [(tmp_path / "r" / "samples" / name).read_bytes() for name in reversed(names)]
    assert not re.search(r"<script|https?://", page)


def test_pictures_change_nothing_of_the_training(tmp_path: Path, images: DecodedImages) -> None:
    run(tmp_path / "with", images)
    run(tmp_path / "without", images, samples=0)
    assert not (tmp_path / "without" / "samples").exists()
    assert not (tmp_path / "without" / "samples.html").exists()
    first, second = (
        (tmp_path / name / "last.safetensors").read_bytes() for name in ("with", "without")
    )
    assert first == second


def test_a_page_of_many_pictures_shows_eight_and_the_last_word_on_each_step(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log({"event": "validate", "step": 1, "psnr_mai": float("inf")})
    for step in range(1, 13):
        for loss in (9.0, 1.0 + 0.01 * step):  # a resumed run writes steps again
            parts = {"10": loss, "2": 2 * loss}
            event = {"event": "train", "step": step, "loss": loss, "loss_by_timestep": parts}
            log(event)
        log.show(np.full((4, 4, 3), step, np.uint8), step=step)
    log.close()
    write_page(tmp_path, title="<net>")
    page = (tmp_path / "samples.html").read_text()
    assert "<h1>&lt;net&gt;</h1>" in page
    assert page.count("<img") == 8
    assert "step 12<" in page
    assert "step 1<" in page
    assert "from 1.01 at 1 to 1.12 at 12" in page
    assert page.index('<th scope="col">2</th>') < page.index('<th scope="col">10</th>')


def test_tensorboard_gets_pictures_and_losses_by_label(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = RunLog(tmp_path, tensorboard=True)
    log({"event": "train", "step": 3, "loss": 1.5, "loss_by_timestep": {"1": 2.0}})
    log.show(np.zeros((4, 6, 3), np.uint8), step=3)
    log.close()
    read = accumulator.EventAccumulator(str(tmp_path))
    read.Reload()
    assert read.Scalars("train/loss_by_timestep/1")[0].value == 2.0
    assert (read.Images("samples")[0].width, read.Images("samples")[0].step) == (6, 3)
    assert read_image(tmp_path / "samples" / "step_000003.png").shape == (4, 6, 3)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["loss_by_timestep"] == {"1": 2.0}


def test_losses_are_averaged_by_label_until_they_are_reported() -> None:
    breakdown = Breakdown(("a", "b", "c"))
    breakdown.add([1, 0], torch.tensor([4.0, 1.0]))
    breakdown.add([1], torch.tensor([2.0]))
    assert breakdown.report() == {"a": 1.0, "b": 3.0}
    assert breakdown.report() == {}


def test_a_long_path_is_counted_in_sixteen_bins() -> None:
    states = torch.arange(1, 101)
    breakdown = StateBreakdown(100)
    breakdown.add(states, states.float())
    found = breakdown.report()
    assert len(found) == 16
    assert found["1-7"] == 4.0
    assert found["95-100"] == 97.5


def test_amplitudes_see_blur_and_not_a_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    image = 255 * torch.rand((1, 3, 32, 32), generator=generator)
    blurred = torch.nn.functional.avg_pool2d(image, 3, stride=1, padding=1)
    shifted = torch.roll(image, (1, 1), (2, 3))
    same, moved, blunt = (float(frequency_losses(x, image)) for x in (image, shifted, blurred))
    assert same == 0
    assert moved < 0.7 * blunt
    brighter = frequency_losses(image + torch.zeros(2, 1, 1, 1), image.repeat(2, 1, 1, 1))
    assert brighter.tolist() == [0, 0]


def test_a_negative_number_of_samples_is_named() -> None:
    with pytest.raises(ConfigError, match="samples = -1: want at least 0"):
        TrainConfig(samples=-1)
