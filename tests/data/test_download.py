"""The download talks to a real server on this machine that can break off and forget ranges."""

import functools
import hashlib
import http.server
import io
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgesr.data.download import fetch
from edgesr.data.known import KNOWN_SETS, KnownSet
from edgesr.data.unpack import unpack
from edgesr.data.verify import verify
from edgesr.errors import DatasetError, MissingDependencyError, OutputError

Save = Callable[..., Path]


@dataclass(kw_only=True)
class Server:
    """What the server has and how it behaves."""

    url: str
    content: bytes = b""
    ranges: bool = True
    breaks: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    status: int = 200
    asked: list[str | None] = field(default_factory=list)  # Range header of each request


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, state: Server, *arguments: object) -> None:
        self.state = state
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        state, wanted = self.state, self.headers["Range"]
        state.asked.append(wanted)
        if state.status != 200:
            self.send_error(state.status)
            return
        resumed = wanted is not None and state.ranges
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if resumed else 0
        body = state.content[begin:]
        self.send_response(206 if resumed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: state.breaks.pop(0)] if state.breaks else body)

    def log_message(self, *arguments: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    state = Server(url="")
    make = functools.partial(_Handler, state)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make) as running:
        state.url = f"http://127.0.0.1:{running.server_address[1]}/set.zip"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        running.shutdown()
        thread.join()


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def known(server: Server, tmp_path: Path, save_photo: Save) -> KnownSet:
    photo = save_photo(tmp_path / "made" / "0001x3.png", 40, 50).read_bytes()
    server.content = _zip({"S_LR_bicubic/X3/0001x3.png": photo})
    return KnownSet(
        name="s_lr_x3",
        title="one image",
        url=server.url,
        bytes=len(server.content),
        sha256=hashlib.sha256(server.content).hexdigest(),
        folder="S_LR_bicubic/X3",
        licence="none",
        source="here",
    )


def _left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_set_is_fetched_checked_and_unpacked(tmp_path: Path, known: KnownSet) -> None:
    seen: list[tuple[int, int]] = []
    folder = fetch(known, tmp_path / "to", progress=lambda *now: seen.append(now))
    assert folder == tmp_path / "to" / "S_LR_bicubic" / "X3"
    assert _left(folder) == ["0001x3.png", "SHA256SUMS"]
    assert _left(tmp_path / "to")[0] == "S_LR_bicubic"  # neither archive nor temporary folder
    assert seen[-1] == (known.bytes, known.bytes)
    result = verify(folder, 3)
    assert (result.hashed, result.problems) == (1, ())


def test_a_set_that_is_there_is_not_fetched_again(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    fetch(known, tmp_path / "to")
    fetch(known, tmp_path / "to")
    assert len(server.asked) == 1


def test_a_broken_connection_is_resumed_where_it_stopped(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    server.breaks = [100, 300]
    fetch(known, tmp_path / "to")
    assert server.asked == [None, "bytes=100-", "bytes=400-"]


def test_a_later_call_resumes_too(tmp_path: Path, known: KnownSet, server: Server) -> None:
    server.breaks = [100, 0, 0, 0]
    with pytest.raises(MissingDependencyError, match="are kept and the next call goes on"):
        fetch(known, tmp_path / "to")
    assert _left(tmp_path / "to") == [".s_lr_x3.zip.part"]
    fetch(known, tmp_path / "to")
    assert server.asked[-1] == "bytes=100-"


def test_a_server_without_ranges_starts_over(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    server.ranges, server.breaks = False, [100]
    assert fetch(known, tmp_path / "to").is_dir()


def test_a_changed_archive_is_refused_and_removed(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    server.content = server.content[:-1] + b"\1"
    with pytest.raises(DatasetError, match=f"want {known.sha256}; this is not the published"):
        fetch(known, tmp_path / "to")
    assert _left(tmp_path / "to") == []


def test_another_size_is_noticed_before_anything_is_fetched(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    server.content += b"more"
    with pytest.raises(DatasetError, match=f"want {known.bytes}; the file was replaced"):
        fetch(known, tmp_path / "to")
    assert _left(tmp_path / "to") == []


def test_an_archive_put_there_by_hand_needs_no_network(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    (tmp_path / "set.zip").write_bytes(server.content)
    assert (fetch(known, tmp_path) / "0001x3.png").is_file()
    assert server.asked == []
    assert (tmp_path / "set.zip").is_file()


def test_a_wrong_archive_put_there_by_hand_is_refused_and_kept(
    tmp_path: Path, known: KnownSet
) -> None:
    (tmp_path / "set.zip").write_bytes(b"something else")
    with pytest.raises(DatasetError, match=r"set\.zip: SHA-256 is .* not the published file"):
        fetch(known, tmp_path)
    assert (tmp_path / "set.zip").read_bytes() == b"something else"


def test_a_missing_archive_says_what_the_server_answered(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    server.status = 404
    with pytest.raises(DatasetError, match="the server answers 404"):
        fetch(known, tmp_path / "to")


def test_no_server_is_a_missing_network(tmp_path: Path, known: KnownSet) -> None:
    gone = KnownSet(**{**vars(known), "url": "http://127.0.0.1:9/set.zip"})
    with pytest.raises(MissingDependencyError, match=r"no answer from the server.*connect to"):
        fetch(gone, tmp_path / "to")


def test_too_little_space_is_told_before_the_download(
    tmp_path: Path, known: KnownSet, server: Server
) -> None:
    huge = KnownSet(**{**vars(known), "bytes": 10**18})
    with pytest.raises(OutputError, match=r"GB free, s_lr_x3 wants 2000000000.0 GB"):
        fetch(huge, tmp_path / "to")
    assert server.asked == []


def test_a_path_that_is_a_file_cannot_take_a_set(tmp_path: Path, known: KnownSet) -> None:
    (tmp_path / "to").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(known, tmp_path / "to")


@pytest.mark.parametrize("name", ["S/../../evil.png", "/evil.png", "T/evil.png", "evil.png"])
def test_a_file_that_would_land_elsewhere_stops_the_unpacking(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(_zip({"S/good.png": b"1", name: b"2"}))
    with pytest.raises(DatasetError, match=r"evil\.png in it does not lie in S"):
        unpack(archive, tmp_path, "S")
    assert _left(tmp_path) == ["a.zip"]


def test_a_link_in_an_archive_stops_the_unpacking(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("S/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match=r"link\.png in it does not lie in S"):
        unpack(tmp_path / "a.zip", tmp_path, "S")


def test_a_damaged_archive_leaves_no_folder(tmp_path: Path) -> None:
    content = bytearray(_zip({"S/a.png": bytes(range(256)) * 20}))
    content[100] ^= 255
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="damaged archive"):
        unpack(tmp_path / "a.zip", tmp_path, "S")
    assert _left(tmp_path) == ["a.zip"]


def test_known_sets_are_whole_and_keyed_by_their_name() -> None:
    for name, known in KNOWN_SETS.items():
        assert known.name == name
        assert known.url.startswith("https://")
        assert len(known.sha256) == 64
    assert KNOWN_SETS["div2k_train_lr_x3"].folder == "DIV2K_train_LR_bicubic/X3"
    assert KNOWN_SETS["div2k_train_hr"].folder == "DIV2K_train_HR"
