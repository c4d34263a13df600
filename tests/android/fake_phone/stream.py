"""One of the streams that share a transport: bytes in both directions, one write in flight."""

import queue
import threading
from collections.abc import Callable

from tests.android.fake_phone.wire import MAX_PAYLOAD, Frame


class Stream:
    def __init__(self, send: Callable[[Frame], None], local: int, remote: int) -> None:
        self.closed = threading.Event()
        self._send = send
        self._ids = (local, remote)
        self._arrived: queue.Queue[bytes | None] = queue.Queue()
        self._may_write = threading.Semaphore(1)
        self._rest = b""

    def accept(self) -> None:
        self._send(self._frame("OKAY"))

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_PAYLOAD):
            if not self._wait():
                return
            self._send(self._frame("WRTE", data[start : start + MAX_PAYLOAD]))

    def read_some(self) -> bytes:
        """Return what came next; EOFError when the other side has closed."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        arrived = self._arrived.get()
        if arrived is None:
            self._arrived.put(None)
            raise EOFError
        return arrived

    def read(self, length: int) -> bytes:
        parts = b""
        while len(parts) < length:
            parts += self.read_some()
        self._rest = parts[length:]
        return parts[:length]

    def close(self) -> None:
        """Close after the last write was taken."""
        if self._wait():
            self.closed.set()
            self._send(self._frame("CLSE"))

    def taken(self) -> None:
        self._may_write.release()

    def arrive(self, data: bytes) -> None:
        self._arrived.put(data)
        self.accept()

    def end(self) -> None:
        self.closed.set()
        self._arrived.put(None)

    def _wait(self) -> bool:
        """Wait until the last write was taken; False when the other side has closed."""
        while not self._may_write.acquire(timeout=0.02):
            if self.closed.is_set():
                return False
        return not self.closed.is_set()

    def _frame(self, command: str, payload: bytes = b"") -> Frame:
        return Frame(command=command, arg0=self._ids[0], arg1=self._ids[1], payload=payload)
