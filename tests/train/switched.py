"""A short run of one-pass training with switches."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgesr.data.cache import DecodedImages
from edgesr.imresize import downscale
from edgesr.train.config import TrainConfig
from edgesr.train.image_teacher import load_image_teacher
from edgesr.train.regression import Regression
from edgesr.train.warm_start import load_warm_start
from tests.train.running import Event, train_in

Photo = Callable[..., Any]
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


def trained_events(
    settings: Mapping[str, Any],
    folder: Path,
    images: DecodedImages,
    listen: Callable[[Event], None] = lambda _event: None,
    **changes: Any,
) -> list[Event]:
    """Train in ``folder``, going on with what is there, and return the events of the log."""
    config = TrainConfig(**{**settings, **changes})
    events: list[Event] = []

    def hear(event: Event) -> None:
        events.append(event)
        listen(event)

    def objective(_: int) -> Regression:
        teacher, start = load_image_teacher(config), load_warm_start(config)
        return Regression(config=config, teacher=teacher, start=start)

    train_in(folder, config, images, objective, hear)
    return events
