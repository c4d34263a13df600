"""Gap-preserving distillation: a teacher that starts as the student and learns beside it."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from edgesr.cli import run
from edgesr.data.cache import DecodedImages
from edgesr.errors import ConfigError
from edgesr.models import build_model
from edgesr.train.config import TrainConfig
from edgesr.train.gap_teacher import GapTeacher
from edgesr.train.state import load_state
from edgesr.train.switches import check_switches
from tests.train.running import stop_at
from tests.train.switched import SETTINGS as SHORT
from tests.train.switched import Photo, pairs, trained_events

SETTINGS = {**SHORT, "gap_weight": 0.5}


@pytest.fixture
def images(photo: Photo) -> DecodedImages:
    return pairs(photo, 2)


go = partial(trained_events, SETTINGS)


@pytest.mark.parametrize("form", ["deploy", "training"])
def test_the_teacher_starts_as_the_student_and_leaves_it(form: Any) -> None:
    torch.manual_seed(0)
    config = TrainConfig(**{**SETTINGS, "form": form, "gap_width": 2})
    student = build_model("edge_s", 2, form).train()
    teacher = GapTeacher(config, student)
    lr, hr = 255 * torch.rand(2, 3, 8, 8), 255 * torch.rand(2, 3, 16, 16)
    first, _ = teacher.teach(lr, hr, 0, None)
    torch.testing.assert_close(first, student(lr).detach(), rtol=1e-5, atol=1e-3)
    losses = [float(teacher.teach(lr, hr, 0, None)[1]) for _ in range(20)]
    assert losses[-1] < losses[0]
    hidden = teacher.network.get_submodule("body").get_submodule("2").get_parameter("weight")
    assert not torch.allclose(hidden[:16, :16], hidden[16:, 16:], atol=1e-4)  # copies part company


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, images: DecodedImages) -> None:
    events = go(tmp_path / "whole", images)
    go(tmp_path / "parts", images, stop_at(4))
    assert load_state(tmp_path / "parts").step == 4
    go(tmp_path / "parts", images)
    for name in ("last.safetensors", "best.safetensors"):
        first, second = ((tmp_path / part / name).read_bytes() for part in ("whole", "parts"))
        assert first == second
    (logged, *_) = [event for event in events if event["event"] == "train"]
    assert set(logged["loss_parts"]) == {"pixel", "gap", "gap_teacher"}
    go(tmp_path / "without", images, gap_weight=0.0)
    alone, taught = (
        (tmp_path / one / "last.safetensors").read_bytes() for one in ("without", "whole")
    )
    assert alone != taught


def test_what_cannot_grow_or_be_taught_so_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"gap_weight = 0.5: XLSR: .*want plain convolutions"):
        check_switches(TrainConfig(**{**SETTINGS, "model": "xlsr"}))
    with pytest.raises(ConfigError, match="gap_width = 4: there is no teacher that grows"):
        check_switches(TrainConfig(**{**SETTINGS, "gap_weight": 0.0, "gap_width": 4}))
    with pytest.raises(ConfigError, match="model = resshift_px_s is a denoiser"):
        check_switches(TrainConfig(**{**SETTINGS, "model": "resshift_px_s"}))
    with pytest.raises(ConfigError, match="gap_width = 0: want at least 1"):
        TrainConfig(**{**SETTINGS, "gap_width": 0})
    assert run(["train", "--model", "xlsr", "--gap-weight", "1", "--dry-run"]) == 3
    assert "drop --gap-weight" in capsys.readouterr().err
