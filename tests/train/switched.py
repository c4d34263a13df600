"""A short run of one-pass training with switches."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgesr.data.cache import DecodedImages
from edgesr.imresize import downscale
from edgesr.train.config import TrainConfig
from edgesr.train.image_teacher import load_image_teacher
from edgesr.train.loop import train
from edgesr.train.regression import Regression
from edgesr.train.state import load_state
from edgesr.train.warm_start import load_warm_start

Photo = Callable[..., Any]
Event = dict[str, Any]
SETTINGS: dict[str, Any] = {
    "model": "edge_s",
    "scale": 2,
    "steps": 6,
    "batch_size": 2,
    "patch_size": 8,
    "val_every": 3,
    "save_every": 3,
    "log_every": 2,
    "samples": 0,
    "precision": "fp32",
}


def pairs(photo: Photo, scale: int) -> DecodedImages:
    """Return three made pictures of ``40 x 48`` and their reduced forms."""
    height, width = (side - side % scale for side in (40, 48))
    hr = tuple(photo(height, width, seed) for seed in range(3))
    lr = tuple(downscale(one, scale) for one in hr)
    return DecodedImages(scale=scale, names=("a", "b", "c"), lr=lr, hr=hr, sha256=("", "", ""))


def stop_at(step: int) -> Callable[[Event], None]:
    """Return a listener that interrupts the run at the log line of ``step``."""

    def stop(event: Event) -> None:
        if event["step"] == step and event["event"] == "train":
            os.kill(os.getpid(), signal.SIGINT)

    return stop


def trained_events(
    settings: Mapping[str, Any],
    folder: Path,
    images: DecodedImages,
    listen: Callable[[Event], None] = lambda _event: None,
    **changes: Any,
) -> list[Event]:
    """Train in ``folder``, going on with what is there, and return the events of the log."""
    folder.mkdir(exist_ok=True)
    config = TrainConfig(**{**settings, **changes})
    events: list[Event] = []

    def hear(event: dict[str, Any]) -> None:
        events.append(event)
        listen(event)

    train(
        config,
        folder,
        images=images,
        held_out=images,
        metadata={},
        state=load_state(folder) if (folder / "training_state.pt").exists() else None,
        objective=lambda _: Regression(
            config=config,
            teacher=load_image_teacher(config),
            start=load_warm_start(config),
        ),
        listen=hear,
    )
    return events
