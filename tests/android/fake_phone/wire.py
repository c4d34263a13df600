"""Frames of adb's transport protocol: a header of six little-endian words, then the payload.

Source: Android's packages/modules/adb, protocol.txt.
"""

import socket
import struct
from dataclasses import dataclass

VERSION = 0x01000001  # from this version on, peers do not check the sum of a payload
MAX_PAYLOAD = 1 << 20

_HEADER = struct.Struct("<6I")
_SUMMED = ("CNXN", "AUTH")  # sent before the versions are agreed on


@dataclass(frozen=True, kw_only=True)
class Frame:
    command: str
    arg0: int = 0
    arg1: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        word = int.from_bytes(self.command.encode(), "little")
        total = sum(self.payload) if self.command in _SUMMED else 0
        magic = word ^ 0xFFFFFFFF
        header = _HEADER.pack(word, self.arg0, self.arg1, len(self.payload), total, magic)
        return header + self.payload


def read_frame(peer: socket.socket) -> Frame:
    """Read one frame; EOFError when the peer has gone."""
    word, arg0, arg1, length, _, _ = _HEADER.unpack(_exactly(peer, _HEADER.size))
    command = word.to_bytes(4, "little").decode("ascii", "replace")
    return Frame(command=command, arg0=arg0, arg1=arg1, payload=_exactly(peer, length))


def _exactly(peer: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = peer.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
