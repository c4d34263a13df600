"""The services ``shell`` (with and without its own packets) and ``exec`` of an adb daemon."""

import contextlib
import os
import signal
import struct
import subprocess
import threading
from typing import IO

from tests.android.fake_phone.phone import ENVIRONMENT, Phone
from tests.android.fake_phone.stream import Stream

_PACKET = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)

Processes = set[subprocess.Popen[bytes]]


def serve_shell(stream: Stream, service: str, phone: Phone, running: Processes) -> None:
    """Run the command of ``service``, such as ``shell,v2,raw:ls``, until it ends."""
    head, _, command = service.partition(":")
    packets = "v2" in head.split(",")
    process = subprocess.Popen(  # noqa: S603 - commands of the test, in a sandbox
        phone.argv(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if packets else subprocess.STDOUT,
        start_new_session=True,
        env=ENVIRONMENT,
    )
    running.add(process)
    threading.Thread(target=_feed, args=(stream, process, packets), daemon=True).start()
    lock = threading.Lock()
    pumps = [
        threading.Thread(target=_pump, args=(stream, source, kind if packets else None, lock))
        for kind, source in ((_STDOUT, process.stdout), (_STDERR, process.stderr))
        if source is not None
    ]
    for pump in pumps:
        pump.start()
    for pump in pumps:
        pump.join()
    code = process.wait()
    running.discard(process)
    if packets:
        # nsenter ends by the signal that ended the command
        stream.write(_PACKET.pack(_EXIT, 1) + bytes([(code if code >= 0 else 128 - code) & 255]))
    stream.close()


def hang_up(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, number)


def _pump(stream: Stream, source: IO[bytes], kind: int | None, lock: threading.Lock) -> None:
    while data := os.read(source.fileno(), 65536):
        with lock:
            stream.write(data if kind is None else _PACKET.pack(kind, len(data)) + data)
    source.close()


def _feed(stream: Stream, process: subprocess.Popen[bytes], packets: bool) -> None:  # noqa: FBT001
    """Give the command what the host types; when the host goes away, hang up as adbd does."""
    assert process.stdin is not None
    try:
        while True:
            if not packets:
                kind, data = _STDIN, stream.read_some()
            else:
                kind, length = _PACKET.unpack(stream.read(_PACKET.size))
                data = stream.read(length)
            if kind == _STDIN:
                process.stdin.write(data)
                process.stdin.flush()
            elif kind == _CLOSE_STDIN:
                process.stdin.close()
    except (EOFError, OSError, ValueError):
        if process.poll() is None and stream.closed.is_set():
            hang_up(process, signal.SIGHUP)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
