"""Runs of tests: go on with what is in a folder, and stop like a user does."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesr.data.cache import DecodedImages
from edgesr.train.config import TrainConfig
from edgesr.train.loop import TrainResult, train
from edgesr.train.shell import MakeObjective
from edgesr.train.state import load_state

Event = dict[str, Any]
Listen = Callable[[Event], None]


def train_in(
    folder: Path,
    config: TrainConfig,
    images: DecodedImages,
    objective: MakeObjective,
    listen: Listen = lambda _event: None,
) -> TrainResult:
    """Train in ``folder``, going on with what is there; validate on the training images."""
    folder.mkdir(exist_ok=True)
    return train(
        config,
        folder,
        images=images,
        held_out=images,
        metadata={},
        state=load_state(folder) if (folder / "training_state.pt").exists() else None,
        objective=objective,
        listen=listen,
    )


def stop_at(step: int) -> Listen:
    """Return a listener that interrupts the run at the log line of ``step``."""

    def stop(event: Event) -> None:
        if event["step"] == step and event["event"] == "train":
            os.kill(os.getpid(), signal.SIGINT)

    return stop
