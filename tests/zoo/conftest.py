"""A published network on a real server on this machine, which can break off."""

import functools
import http.server
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pytest

from edgesr.files import sha256_file, write_json
from edgesr.zoo import DEFAULT, ZOO, ZooEntry
from edgesr.zoo.release import add_release

NAME = "other_x3"


@dataclass(kw_only=True)
class Server:
    """What the server has and how it behaves."""

    folder: Path
    url: str = ""
    breaks: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    asked: list[str] = field(default_factory=list)

    @property
    def index(self) -> str:
        return f"{self.url}/releases.json"

    def files(self) -> list[str]:
        return [path for path in self.asked if not path.endswith("releases.json")]


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, state: Server, *arguments: object) -> None:
        self.state = state
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted, path = self.headers["Range"], self.state.folder / unquote(self.path).lstrip("/")
        self.state.asked.append(self.path)
        if not path.is_file():
            self.send_error(404)
            return
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        body = path.read_bytes()[begin:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        breaks = self.state.breaks and path.suffix == ".safetensors"
        self.wfile.write(body[: self.state.breaks.pop(0)] if breaks else body)

    def log_message(self, *arguments: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def published(tmp_path: Path) -> ZooEntry:
    """The shipped network under another name, with a card, entered into an index above it."""
    shipped = ZOO[DEFAULT]
    if not shipped.tflite.is_file():
        pytest.skip("this checkout ships no trained weights yet")
    folder = tmp_path / "server" / "nets"
    folder.mkdir(parents=True)
    entry = ZooEntry(name=NAME, model=shipped.model, scale=shipped.scale, folder=folder)
    for source, target in zip(shipped.files, entry.files, strict=True):
        shutil.copyfile(source, target)
    files = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_file(p)} for p in entry.files}
    write_json(entry.card, {**shipped.read_card(), "name": NAME, "files": files})
    add_release(tmp_path / "server" / "releases.json", entry)
    return entry


@pytest.fixture
def server(
    tmp_path: Path, published: ZooEntry, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "EDGESR_RELEASES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path / "cache"))
    state = Server(folder=published.folder.parent)
    make = functools.partial(_Handler, state)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make) as running:
        state.url = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        running.shutdown()
        thread.join()
