"""Fetch files and known sets: resumed where an earlier try stopped, checked, unpacked at once."""

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edgesr.data.known import KnownSet
from edgesr.data.unpack import unpack
from edgesr.errors import DatasetError, MissingDependencyError, OutputError
from edgesr.files import sha256_file

Progress = Callable[[int, int], None]
_STALLS = 3
_TIMEOUT_S = 30
_CHUNK = 1 << 20
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416


class Remote(Protocol):
    """One file on a server, with what is published about it."""

    @property
    def url(self) -> str:
        """Its address, http or https."""

    @property
    def bytes(self) -> int:
        """Its size."""

    @property
    def sha256(self) -> str:
        """Of its content."""

    @property
    def source(self) -> str:
        """Where it is described."""


def _ignore(done: int, total: int) -> None:
    """Take progress and do nothing with it."""


def fetch(known: KnownSet, to: Path, *, progress: Progress = _ignore) -> Path:
    """Download and unpack ``known`` below ``to``; a set that is there already is left as it is.

    A download that breaks off stays in ``to`` as ``.NAME.zip.part`` and the next call goes on
    with it; the archive is removed when its images are unpacked. An archive of the published file
    name that somebody put into ``to`` is unpacked without a network, and kept.

    Args:
        known: the set.
        to: folder for it; made where missing.
        progress: called with the bytes fetched so far and in total.

    Returns:
        The folder with the images.

    Raises:
        MissingDependencyError: there is no network, or the server does not answer.
        DatasetError: the server refuses, or what came is not the published archive.
        OutputError: ``to`` cannot be written or has too little space.
    """
    folder = to / known.folder
    if folder.exists():
        return folder
    part = to / f".{known.name}.zip.part"
    by_hand = to / _file_name(known)
    try:
        to.mkdir(parents=True, exist_ok=True)
        if by_hand.exists():
            _check_sum(known, by_hand)
            unpack(by_hand, to, known.folder)
            return folder
        _check_space(known, to, part)
        download(known, part, progress)
        unpack(part, to, known.folder)
        part.unlink()
    except OSError as error:
        raise OutputError(
            f"{error.filename or to}: cannot be written ({error.strerror or error}); "
            "free space or choose another --to, then call again to go on"
        ) from error
    return folder


def _check_space(known: KnownSet, to: Path, part: Path) -> None:
    """Ask for room for the archive and, as images hardly compress, as much again."""
    wanted = 2 * known.bytes - _size(part)
    free = shutil.disk_usage(to).free
    if free < wanted:
        raise OutputError(
            f"{to}: {free / 1e9:.1f} GB free, {known.name} wants {wanted / 1e9:.1f} GB; "
            "free space or choose another --to"
        )


def download(remote: Remote, part: Path, progress: Progress = _ignore) -> None:
    """Fetch ``remote`` into ``part``, going on with what is there, and compare its checksum.

    What came before a connection was lost stays in ``part``; a file that is not the published one
    is removed.

    Args:
        remote: the file.
        part: where to put it; its folder exists.
        progress: called with the bytes fetched so far and in total.

    Raises:
        MissingDependencyError: there is no network, or the server does not answer.
        DatasetError: the server refuses, or what came is not the published file.
        OSError: ``part`` cannot be written.
    """
    stalls = 0
    while (before := _size(part)) < remote.bytes:
        try:
            _go_on(remote, part, progress)
        except urllib.error.HTTPError as error:
            if error.code == _RANGE_NOT_SATISFIABLE:
                part.unlink()
            raise DatasetError(
                f"{remote.url}: the server answers {error.code} {error.reason}; look at "
                f"{remote.source}"
            ) from error
        except (urllib.error.URLError, http.client.HTTPException, _ConnectionLostError) as error:
            stalls = 0 if _size(part) > before else stalls + 1
            if stalls == _STALLS:
                raise _offline(remote, part, error) from error
    try:
        _check_sum(remote, part)
    except DatasetError:
        part.unlink()
        raise


def read_small(url: str, *, limit: int) -> bytes:
    """Return the content of a small file on a server.

    Args:
        url: http or https.
        limit: most bytes that are accepted.

    Raises:
        MissingDependencyError: there is no network, or the server does not answer.
        DatasetError: the server refuses, or the file is larger.
    """
    try:
        with _open(urllib.request.Request(url)) as answer:  # noqa: S310 - http alone
            content = b"".join(iter(lambda: _read(answer), b""))
    except urllib.error.HTTPError as error:
        raise DatasetError(
            f"{url}: the server answers {error.code} {error.reason}; check the address"
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, _ConnectionLostError) as error:
        reason = getattr(error, "reason", None) or error
        raise MissingDependencyError(
            f"{url}: no answer from the server ({reason}); connect to the network, or name another "
            "address"
        ) from error
    if len(content) > limit:
        raise DatasetError(f"{url}: {len(content)} bytes came, want {limit} or less; check the url")
    return content


def _check_sum(remote: Remote, archive: Path) -> None:
    found = sha256_file(archive)
    if found != remote.sha256:
        raise DatasetError(
            f"{archive}: SHA-256 is {found}, want {remote.sha256}; this is not the published "
            f"file, fetch {remote.url} again"
        )


class _ConnectionLostError(Exception):
    """The server stopped before the end; never leaves this module."""


def _go_on(remote: Remote, part: Path, progress: Progress) -> None:
    """Append what is missing to ``part``; start over where the server cannot resume."""
    begin = _size(part)
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    request = urllib.request.Request(remote.url, headers=headers)  # noqa: S310 - http alone
    with _open(request) as answer:
        resumed = answer.status == _PARTIAL_CONTENT
        done = begin if resumed else 0
        coming = answer.headers["Content-Length"]
        if coming is not None and done + int(coming) != remote.bytes:
            raise DatasetError(
                f"{remote.url}: the server has {done + int(coming)} bytes, want {remote.bytes}; "
                f"the file was replaced, look at {remote.source}"
            )
        with part.open("ab" if resumed else "wb") as stream:
            while chunk := _read(answer):
                done += stream.write(chunk)
                progress(done, remote.bytes)
    if done < remote.bytes:
        raise _ConnectionLostError(f"{done} of {remote.bytes} bytes came")


# A file's OSError becomes an OutputError further up, so the network's are told apart here.


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise _ConnectionLostError(str(error)) from error
    return answer


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except OSError as error:
        raise _ConnectionLostError(str(error)) from error


def _offline(remote: Remote, part: Path, error: Exception) -> MissingDependencyError:
    reason = getattr(error, "reason", None) or error
    kept = (
        f" ({_size(part) / 1e6:.1f} MB are kept and the next call goes on)" if _size(part) else ""
    )
    return MissingDependencyError(
        f"{remote.url}: no answer from the server ({reason}){kept}; connect to the network, or put "
        f"{_file_name(remote)} from another place into {part.parent} and call again"
    )


def _file_name(remote: Remote) -> str:
    return remote.url.rpartition("/")[2]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
