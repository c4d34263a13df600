import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgesr.data.cache import DecodedImages
from edgesr.errors import ConfigError, DataError
from edgesr.imresize import downscale
from edgesr.models.checkpoint import load_model
from edgesr.train.config import TrainConfig
from edgesr.train.loop import train
from edgesr.train.schedules import learning_rate_at
from edgesr.train.state import load_state

SETTINGS: dict[str, Any] = {
    "scale": 2,
    "steps": 8,
    "batch_size": 2,
    "patch_size": 8,
    "val_every": 4,
    "save_every": 4,
    "log_every": 2,
    "precision": "fp32",
    "warmup_steps": 2,
}


@pytest.fixture
def images() -> DecodedImages:
    random = np.random.default_rng(0)
    hr = tuple(random.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(3))
    return DecodedImages(
        scale=2,
        names=("a", "b", "c"),
        lr=tuple(downscale(image, 2) for image in hr),
        hr=hr,
        sha256=("", "", ""),
    )


def run(folder: Path, images: DecodedImages, **changes: Any) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    events: list[dict[str, Any]] = []
    state = load_state(folder) if (folder / "training_state.pt").exists() else None
    train(
        TrainConfig(**{**SETTINGS, **changes}),
        folder,
        images=images,
        held_out=images,
        metadata={},
        state=state,
        listen=events.append,
    )
    return events


def interrupt_at(step: int, folder: Path, images: DecodedImages, **changes: Any) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["step"] == step and event["event"] == "train":
            os.kill(os.getpid(), signal.SIGINT)

    folder.mkdir()
    result = train(
        TrainConfig(**{**SETTINGS, **changes}),
        folder,
        images=images,
        held_out=images,
        metadata={},
        listen=stop,
    )
    assert result.interrupted
    assert result.step == step


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path: Path, images: DecodedImages, precision: str
) -> None:
    run(tmp_path / "whole", images, precision=precision)
    interrupt_at(6, tmp_path / "parts", images, precision=precision)
    run(tmp_path / "parts", images, precision=precision)
    for name in ("last.safetensors", "best.safetensors"):
        first, second = ((tmp_path / part / name).read_bytes() for part in ("whole", "parts"))
        assert first == second
    one, two = (load_state(tmp_path / part) for part in ("whole", "parts"))
    assert one.step == two.step == 8
    assert all(torch.equal(one.weights[key], two.weights[key]) for key in one.weights)


def test_a_state_of_a_version_that_kept_nothing_is_gone_on_with(
    tmp_path: Path, images: DecodedImages
) -> None:
    run(tmp_path / "r", images, steps=4)
    path = tmp_path / "r" / "training_state.pt"
    content = torch.load(path, weights_only=True)
    del content["kept"]
    torch.save(content, path)
    assert run(tmp_path / "r", images, steps=8)[-1]["step"] == 8


def test_worker_processes_change_nothing(tmp_path: Path, images: DecodedImages) -> None:
    run(tmp_path / "none", images)
    run(tmp_path / "two", images, num_workers=2)
    first, second = ((tmp_path / n / "last.safetensors").read_bytes() for n in ("none", "two"))
    assert first == second


def test_training_learns_the_bias_of_the_image(tmp_path: Path) -> None:
    lr = np.full((16, 16, 3), 100, np.uint8)
    hr = np.full((32, 32, 3), 110, np.uint8)
    pair = DecodedImages(scale=2, names=("a",), lr=(lr,), hr=(hr,), sha256=("",))
    events = run(tmp_path / "r", pair, steps=60, log_every=20, ema_decay=0.5, learning_rate=1e-3)
    losses = [event["loss"] for event in events if event["event"] == "train"]
    assert losses[-1] < 0.5 * losses[0]


def test_log_and_weights_say_what_happened(tmp_path: Path, images: DecodedImages) -> None:
    events = run(tmp_path / "r", images)
    lines = [json.loads(line) for line in (tmp_path / "r/log.jsonl").read_text().splitlines()]
    assert [(e["event"], e["step"]) for e in lines] == [(e["event"], e["step"]) for e in events]
    assert {e["step"] for e in events if e["event"] == "validate"} == {4, 8}
    loaded = load_model(tmp_path / "r" / "last.safetensors")
    assert (loaded.scale, loaded.metadata["step"]) == (2, "8")


def test_divergence_stops_with_a_reason(tmp_path: Path, images: DecodedImages) -> None:
    with pytest.raises(DataError, match="training diverged: the loss is nan at step"):
        run(tmp_path / "r", images, learning_rate=1e30, warmup_steps=0, steps=40)


def test_step_schedule_takes_the_published_rates() -> None:
    config = TrainConfig(schedule="step", milestones=(10, 20), rates=(3.0, 2.0, 1.0))
    assert [learning_rate_at(config, step) for step in (0, 9, 10, 19, 20)] == [3, 3, 2, 2, 1]


def test_cosine_schedule_runs_from_peak_to_floor() -> None:
    config = TrainConfig(steps=11, learning_rate=1.0, min_learning_rate=0.2)
    rates = [learning_rate_at(config, step) for step in range(11)]
    assert rates[0] == pytest.approx(1.0)
    assert rates[5] == pytest.approx(0.6)
    assert rates[10] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 0}, "scale = 0: want at least 1"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0: want more than 0"),
        ({"schedule": "step", "milestones": (5,), "rates": (1.0,)}, "want one more rate"),
    ],
)
def test_bad_settings_name_the_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**changes)


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(_TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    subprocess.run(  # noqa: S603
        [*command, str(tmp_path / "run")], env=environment, check=True, timeout=300
    )
    assert load_model(tmp_path / "run" / "last.safetensors").metadata["step"] == "3"
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["train", "validate"]


_TWO_PROCESSES = """
import sys
from pathlib import Path
import numpy as np
from edgesr.data.cache import DecodedImages
from edgesr.train.config import TrainConfig
from edgesr.train.loop import train
from edgesr.train.processes import processes

assert processes().num_processes == 2
folder = Path(sys.argv[1])
folder.mkdir(exist_ok=True)
lr, hr = np.full((16, 16, 3), 9, np.uint8), np.full((32, 32, 3), 9, np.uint8)
images = DecodedImages(scale=2, names=("a",), lr=(lr,), hr=(hr,), sha256=("",))
config = TrainConfig(scale=2, steps=3, batch_size=4, patch_size=8, precision="fp32")
train(config, folder, images=images, held_out=images, metadata={})
"""
