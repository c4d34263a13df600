"""The log of a run: one JSON object a line, and TensorBoard on request."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import MissingDependencyError
from edgesr.images import write_image

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

LOG_FILE = "log.jsonl"
SAMPLES_FOLDER = "samples"


class RunLog:
    """Appends events to ``log.jsonl`` in the run folder; without a folder it drops them.

    Raises:
        MissingDependencyError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path | None, *, tensorboard: bool = False) -> None:
        self._folder = folder
        self._stream = (folder / LOG_FILE).open("a") if folder else None
        self._board = _tensorboard(folder) if folder and tensorboard else None

    def __call__(self, event: dict[str, Any]) -> None:
        """Write ``event``, with the time in seconds since 1970."""
        if self._stream is None:
            return
        self._stream.write(json.dumps({**event, "time": round(time.time(), 3)}) + "\n")
        self._stream.flush()
        if self._board is not None:
            for key, value in _flat(event):
                self._board.add_scalar(f"{event['event']}/{key}", value, event["step"])

    def show(self, picture: NDArray[np.uint8], *, step: int) -> None:
        """Write ``picture`` ``(h, w, 3)`` RGB to ``samples/`` and, when it is on, TensorBoard."""
        if self._folder is None:
            return
        write_image(self._folder / SAMPLES_FOLDER / f"step_{step:06d}.png", picture)
        if self._board is not None:
            self._board.add_image(SAMPLES_FOLDER, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Close the files."""
        if self._stream is not None:
            self._stream.close()
        if self._board is not None:
            self._board.close()


def _flat(event: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in event.items():
        if isinstance(value, float):
            yield key, value
        elif isinstance(value, dict):
            yield from ((f"{key}/{label}", figure) for label, figure in value.items())


def _tensorboard(folder: Path) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            "TensorBoard is not installed; pip install 'edgesr[log]' or drop --tensorboard"
        ) from error
    return SummaryWriter(str(folder))
