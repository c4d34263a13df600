"""Stopping a run without losing the step in hand."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a flag, so that the step in hand is finished.

    A second signal stops at once. Yields a function that says whether the first one came.
    """
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            signal.default_int_handler(number, frame)
        caught.append(number)

    try:
        before = {number: signal.signal(number, catch) for number in _SIGNALS}
    except ValueError:  # not in the main thread: the caller has its own way to stop
        before = {}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
