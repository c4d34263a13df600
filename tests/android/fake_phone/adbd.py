"""The daemon on the phone's side of adb, over TCP: authentication, streams, the cut of a cable."""

import contextlib
import os
import signal
import socket
import threading
import time

from tests.android.fake_phone.files import serve_files
from tests.android.fake_phone.phone import Phone
from tests.android.fake_phone.shell import Processes, hang_up, serve_shell
from tests.android.fake_phone.stream import Stream
from tests.android.fake_phone.wire import MAX_PAYLOAD, VERSION, Frame, read_frame

_AUTH_TOKEN, _AUTH_SIGNATURE = 1, 2


class Connection:
    """One transport: what a USB cable or a Wi-Fi connection is to a phone."""

    def __init__(self, peer: socket.socket, phone: Phone) -> None:
        self._peer = peer
        self._phone = phone
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._running: Processes = set()

    def serve(self) -> None:
        """Answer frames until the peer has gone or the cable is cut."""
        try:
            while True:
                self._answer(read_frame(self._peer))
        except (EOFError, OSError):
            self._end(signal.SIGHUP)

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)
        self._peer.close()
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        for stream in list(self._streams.values()):
            stream.end()
        for process in list(self._running):
            hang_up(process, number)

    def _send(self, frame: Frame) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._peer.sendall(frame.encode())

    def _answer(self, frame: Frame) -> None:
        stream = self._streams.get(frame.arg1)
        signed = frame.command == "AUTH" and frame.arg0 == _AUTH_SIGNATURE
        if frame.command == "CNXN" or signed:
            self._connect()
        elif frame.command == "OPEN":
            self._open(frame)
        elif stream is None:
            if frame.command == "WRTE":
                self._send(Frame(command="CLSE", arg1=frame.arg0))
        elif frame.command == "OKAY":
            stream.taken()
        elif frame.command == "WRTE":
            stream.arrive(frame.payload)
        elif frame.command == "CLSE":
            del self._streams[frame.arg1]
            stream.end()

    def _connect(self) -> None:
        state = self._phone.switch("state")
        if state == "offline":
            return  # such a phone does not answer
        if state == "unauthorized":
            # asks again and again; a public key it only shows in a dialog that nobody taps
            self._send(Frame(command="AUTH", arg0=_AUTH_TOKEN, payload=os.urandom(20)))
            return
        features = ",".join(self._phone.features)
        banner = f"device::ro.product.name=fake;ro.product.model=Fake;features={features}"
        frame = Frame(command="CNXN", arg0=VERSION, arg1=MAX_PAYLOAD, payload=banner.encode())
        self._send(frame)

    def _open(self, frame: Frame) -> None:
        service = frame.payload.rstrip(b"\0").decode()
        kind = service.partition(":")[0].partition(",")[0]
        if kind not in ("shell", "exec", "sync"):
            self._send(Frame(command="CLSE", arg1=frame.arg0))
            return
        number = max(self._streams, default=0) + 1
        stream = self._streams[number] = Stream(self._send, number, frame.arg0)
        stream.accept()
        if kind == "sync":
            work, extra = serve_files, (stream, self._phone)
            threading.Thread(target=work, args=extra, daemon=True).start()
        else:
            shell = (stream, service, self._phone, self._running)
            threading.Thread(target=serve_shell, args=shell, daemon=True).start()


def serve(listener: socket.socket, phone: Phone) -> None:
    """Accept connections for ever; a connection to an unplugged phone is closed at once."""
    connections: list[Connection] = []
    threading.Thread(target=_watch, args=(phone, connections), daemon=True).start()
    while True:
        peer, _ = listener.accept()
        if phone.switch("unplugged") is not None:
            peer.close()
            continue
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.append(Connection(peer, phone))
        threading.Thread(target=connections[-1].serve, daemon=True).start()


def _watch(phone: Phone, connections: list[Connection]) -> None:
    while True:
        time.sleep(0.02)
        if phone.switch("cut") is not None:
            phone.set("unplugged")
            phone.clear("cut")
            while connections:
                connections.pop().cut()
