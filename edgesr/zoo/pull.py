"""Fetch trained networks that do not ship with edgesr; they lie in the user's cache."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from edgesr.data.download import download, read_small
from edgesr.errors import CheckpointError, DatasetError, OutputError, UsageError
from edgesr.files import sha256_file, write_json
from edgesr.zoo import ZOO, ZooEntry
from edgesr.zoo.pulled import RELEASE_FILE, pulled_entry, pulled_folder
from edgesr.zoo.release import SCHEMA, Release, ReleaseFile, parse_index

Progress = Callable[[str, int, int], None]
"""Gets the name of a file, the bytes fetched so far, and in total."""

_INDEX_LIMIT = 1 << 22


def _ignore(name: str, done: int, total: int) -> None:
    """Take progress and do nothing with it."""


def read_index(url: str) -> dict[str, Release]:
    """Return the networks of the index at ``url`` by name.

    Raises:
        CheckpointError: there is no index.
        MissingDependencyError: there is no network, or the server does not answer.
    """
    try:
        content = read_small(url, limit=_INDEX_LIMIT)
    except DatasetError as error:
        raise CheckpointError(str(error)) from error
    return parse_index(content, url)


def pull(name: str, url: str, *, progress: Progress = _ignore) -> ZooEntry:
    """Fetch the network ``name`` of the index at ``url`` into the cache and check its files.

    It can be named like a shipped one when all of its files are there and right; until then an
    earlier one of that name stays as it was. A download that breaks off is gone on with.

    Args:
        name: in the index.
        url: of the index, http or https.
        progress: called while a file comes.

    Raises:
        CheckpointError: the index does not have it or is damaged, or what came is not the
            published file.
        MissingDependencyError: there is no network, or the server does not answer.
        OutputError: the cache cannot be written.
        UsageError: a network of that name ships with edgesr.
    """
    if name in ZOO:
        raise UsageError(
            f"{name}: ships with edgesr and is used as it is; there is nothing to pull"
        )
    releases = read_index(url)
    if name not in releases:
        known = ", ".join(releases) or "none"
        raise CheckpointError(f"{url}: has no network {name}; it has {known}")
    release, folder = releases[name], pulled_folder(name)
    _check_release(release, url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parts = [(one, _fetched(one, folder, progress)) for one in release.files]
        (folder / RELEASE_FILE).unlink(missing_ok=True)
        for file, part in parts:
            part.replace(folder / file.name)
        write_json(folder / RELEASE_FILE, {"schema": SCHEMA, "models": [release.to_json()]})
    except DatasetError as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error}); free "
            "space or set EDGESR_CACHE, then call again to go on"
        ) from error
    entry = pulled_entry(name)
    if entry is None:
        raise CheckpointError(f"{folder}: has gone again; pull {name} once more")
    return entry


def _fetched(file: ReleaseFile, folder: Path, progress: Progress) -> Path:
    """Return where the checked content of ``file`` lies: the file itself, or a new one beside."""
    target = folder / file.name
    if target.is_file() and sha256_file(target) == file.sha256:
        return target
    part = folder / f".{file.name}.{file.sha256[:12]}.part"
    download(file, part, lambda done, total: progress(file.name, done, total))
    return part


def _check_release(release: Release, url: str) -> None:
    entry = release.entry(pulled_folder(release.name))
    listed = {one.name for one in release.files}
    for path in (*entry.files, entry.card):
        if path.name not in listed:
            raise CheckpointError(f"{url}: {release.name} lacks {path.name}; check the index")
    for one in release.files:
        if urlsplit(one.url).scheme not in {"http", "https"}:
            raise CheckpointError(f"{url}: {one.url} is no http or https address; check the index")
