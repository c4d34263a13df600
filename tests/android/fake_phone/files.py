"""The service ``sync`` of an adb daemon: push, pull, list and stat."""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator

from tests.android.fake_phone.phone import Phone
from tests.android.fake_phone.stream import Stream

_WORD = struct.Struct("<I")
_CHUNK = 65536


class _RefusedError(Exception):
    """What the daemon answers with FAIL."""


def serve_files(stream: Stream, phone: Phone) -> None:
    """Answer requests until QUIT or the end of the stream."""
    with contextlib.suppress(EOFError):
        while True:
            name, length = struct.unpack("<4sI", stream.read(8))
            if name == b"QUIT":
                break
            argument = stream.read(length).decode()
            try:
                _REQUESTS[name](stream, phone, argument)
            except (_RefusedError, KeyError) as error:
                message = str(error).encode()
                stream.write(b"FAIL" + _WORD.pack(len(message)) + message)
    stream.close()


def _stat(stream: Stream, phone: Phone, argument: str) -> None:
    try:
        found = phone.path(argument).stat()
        answer = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
    except OSError:
        answer = (0, 0, 0)
    stream.write(b"STAT" + struct.pack("<3I", *answer))


def _stat_v2(name: bytes, look: Callable[..., os.stat_result]) -> Callable[..., None]:
    def answer(stream: Stream, phone: Phone, argument: str) -> None:
        try:
            found = look(phone.path(argument))
        except OSError as error:
            fields: tuple[int, ...] = (error.errno or 0, *(0,) * 10)
        else:
            fields = (0, found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid)
            times = (found.st_atime, found.st_mtime, found.st_ctime)
            fields += (found.st_gid, found.st_size, *map(int, times))
        stream.write(name + struct.pack("<IQQIIIIQqqq", *fields))

    return answer


def _list(stream: Stream, phone: Phone, argument: str) -> None:
    folder = phone.path(argument)
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        found, name = entry.lstat(), entry.name.encode()
        fields = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime), len(name))
        stream.write(b"DENT" + struct.pack("<4I", *fields) + name)
    stream.write(b"DONE" + bytes(16))


def _send(stream: Stream, phone: Phone, argument: str) -> None:
    name, _, mode = argument.rpartition(",")
    path = phone.path(name)
    refusal = ""
    data = bytearray()
    room = phone.switch("quota")
    for part in _parts(stream):
        if isinstance(part, int):
            changed = part
        elif room is not None and len(data) + len(part) > int(room):
            refusal = "write failed: No space left on device"
        else:
            data += part
    if refusal:
        raise _RefusedError(refusal)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise _RefusedError(f"couldn't create file: {error.strerror}") from error
    path.chmod(int(mode) & 0o777)
    os.utime(path, (changed, changed))
    if room is not None:
        phone.set("quota", str(int(room) - len(data)))
    stream.write(b"OKAY" + _WORD.pack(0))


def _parts(stream: Stream) -> Iterator[bytes | int]:
    """Yield the content of a pushed file, then its time of change."""
    while True:
        name, number = struct.unpack("<4sI", stream.read(8))
        if name == b"DONE":
            yield number
            return
        yield stream.read(number)


def _receive(stream: Stream, phone: Phone, argument: str) -> None:
    try:
        data = phone.path(argument).read_bytes()
    except OSError as error:
        raise _RefusedError(f"open failed: {error.strerror}") from error
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK]
        stream.write(b"DATA" + _WORD.pack(len(part)) + part)
    stream.write(b"DONE" + _WORD.pack(0))


_REQUESTS: dict[bytes, Callable[[Stream, Phone, str], None]] = {
    b"STAT": _stat,
    b"LSTA": _stat,
    b"STA2": _stat_v2(b"STA2", os.stat),
    b"LST2": _stat_v2(b"LST2", os.lstat),
    b"LIST": _list,
    b"SEND": _send,
    b"RECV": _receive,
}
