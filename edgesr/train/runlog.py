"""The log of a run: one JSON object a line, and TensorBoard on request."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesr.errors import MissingDependencyError

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

LOG_FILE = "log.jsonl"


class RunLog:
    """Appends events to ``log.jsonl`` in the run folder; without a folder it drops them.

    Raises:
        MissingDependencyError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path | None, *, tensorboard: bool = False) -> None:
        self._stream = (folder / LOG_FILE).open("a") if folder else None
        self._board = _tensorboard(folder) if folder and tensorboard else None

    def __call__(self, event: dict[str, Any]) -> None:
        """Write ``event``, with the time in seconds since 1970."""
        if self._stream is None:
            return
        self._stream.write(json.dumps({**event, "time": round(time.time(), 3)}) + "\n")
        self._stream.flush()
        if self._board is not None:
            for key, value in event.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{event['event']}/{key}", value, event["step"])

    def close(self) -> None:
        """Close the files."""
        if self._stream is not None:
            self._stream.close()
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: Path) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            "TensorBoard is not installed; pip install 'edgesr[log]' or drop --tensorboard"
        ) from error
    return SummaryWriter(str(folder))
