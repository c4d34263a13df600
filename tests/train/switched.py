"""A short run of one-pass training with switches."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgesr.data.cache import DecodedImages
from edgesr.train.config import TrainConfig
from edgesr.train.image_teacher import load_image_teacher
from edgesr.train.loop import train
from edgesr.train.regression import Regression
from edgesr.train.state import load_state


def trained_events(
    settings: Mapping[str, Any],
    folder: Path,
    images: DecodedImages,
    listen: Callable[[dict[str, Any]], None] = lambda _event: None,
    **changes: Any,
) -> list[dict[str, Any]]:
    """Train in ``folder``, going on with what is there, and return the events of the log."""
    folder.mkdir(exist_ok=True)
    config = TrainConfig(**{**settings, **changes})
    events: list[dict[str, Any]] = []

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
        objective=lambda _: Regression(config=config, teacher=load_image_teacher(config)),
        listen=hear,
    )
    return events
