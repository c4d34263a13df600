"""The index of a release: which trained networks lie where, with size and checksum of each file.

```json
{"schema": "edgesr/releases/1",
 "models": [{"name": "edge_m_x4", "model": "edge_m", "scale": 4, "denoiser": false,
             "files": [{"name": "edge_m_x4_int8.tflite", "url": "edge_m_x4_int8.tflite",
                        "sha256": "...", "size": 48000}]}]}
```

An address may be relative to that of the index.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from edgesr.errors import CheckpointError, UsageError
from edgesr.files import sha256_file, write_json
from edgesr.zoo import ZooEntry

SCHEMA = "edgesr/releases/1"
VARIABLE = "EDGESR_RELEASES"
"""Environment variable with the address of the index."""

NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
"""What a published network may be called."""

_LOCATION = Path(__file__).resolve().parent / "releases.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENDINGS = (
    "_int8.tflite",
    ".safetensors",
    ".json",
    ".md",
    "_int8.certificate.json",
    "_int8.vectors.npz",
)


@dataclass(frozen=True, kw_only=True)
class ReleaseFile:
    """One file of a release.

    Attributes:
        name: of the file on disk.
        url: its address.
        sha256: of its content.
        bytes: its size.
        source: address of the index that lists it.
    """

    name: str
    url: str
    sha256: str
    bytes: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """One trained network that can be fetched.

    Attributes:
        name: what it is called.
        model: network, a name in ``MODELS``, or a denoiser.
        scale: upscaling factor.
        is_denoiser: whether it is a diffusion denoiser.
        files: weights, .tflite, card, and what else was published with them.
    """

    name: str
    model: str
    scale: int
    is_denoiser: bool
    files: tuple[ReleaseFile, ...]

    def entry(self, folder: Path) -> ZooEntry:
        """Return what finds its files in ``folder``."""
        return ZooEntry(
            name=self.name,
            model=self.model,
            scale=self.scale,
            is_denoiser=self.is_denoiser,
            folder=folder,
            is_pulled=True,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in an index, with whole addresses."""
        return {
            "name": self.name,
            "model": self.model,
            "scale": self.scale,
            "denoiser": self.is_denoiser,
            "files": [
                {"name": one.name, "url": one.url, "sha256": one.sha256, "size": one.bytes}
                for one in self.files
            ],
        }


def release_location(given: str | None) -> str:
    """Return the address of the index: what was given, the environment's, or the package's own.

    Raises:
        UsageError: there is none, or it is neither http nor https.
    """
    found = given or os.environ.get(VARIABLE)
    if not found and _LOCATION.is_file():
        found = str(json.loads(_LOCATION.read_text(encoding="utf-8"))["index"])
    if not found:
        raise UsageError(
            "no release location is known: this edgesr names none; give --from URL of a release "
            f"index, or set {VARIABLE}"
        )
    if not _is_http(found):
        raise UsageError(f"{found}: want an http or https address of a release index")
    return found


def parse_index(content: bytes | str, url: str) -> dict[str, Release]:
    """Return the networks of an index by name.

    Args:
        content: the file.
        url: its address, which names it in messages and completes relative ones.

    Raises:
        CheckpointError: it is no index, or names a file that could leave its folder.
    """
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise CheckpointError(f"{url}: is {document['schema']}, want {SCHEMA}; update edgesr")
        found = [_release(one, url) for one in document["models"]]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{url}: is no release index ({type(error).__name__}: {error}); check the address"
        ) from error
    return {one.name: one for one in found}


def add_release(index: Path, entry: ZooEntry) -> None:
    """Write the published files of ``entry`` into an index, in place of an older entry.

    Addresses are relative to the index, so that the folder can be put on any server.

    Raises:
        CheckpointError: ``index`` is something else, or a file of the network is missing.
        UsageError: the files lie outside the folder of the index, or the name cannot be published.
        OutputError: ``index`` cannot be written.
    """
    if not NAME.fullmatch(entry.name):
        raise UsageError(f"{entry.name}: want a name of small letters, digits and underscores")
    folder, root = entry.folder.resolve(), index.resolve().parent
    if not folder.is_relative_to(root):
        raise UsageError(f"{index}: {entry.folder} is not below its folder; put the index above")
    older: Mapping[str, Release] = {}
    models: dict[str, Any] = {}
    if index.exists():
        content = index.read_bytes()
        older = parse_index(content, str(index))
        models = {one["name"]: one for one in json.loads(content)["models"]}
    for path in (*entry.files, entry.card):
        if not path.is_file():
            raise CheckpointError(f"{path}: is missing; publish {entry.name} first")
    paths = [folder / f"{entry.name}{ending}" for ending in _ENDINGS]
    files = [
        {
            "name": path.name,
            "url": quote(path.relative_to(root).as_posix()),
            "sha256": sha256_file(path),
            "size": path.stat().st_size,
        }
        for path in paths
        if path.is_file()
    ]
    models[entry.name] = {
        "name": entry.name,
        "model": entry.model,
        "scale": entry.scale,
        "denoiser": entry.is_denoiser,
        "files": files,
    }
    names = sorted({*older, entry.name})
    write_json(index, {"schema": SCHEMA, "models": [models[name] for name in names]})


def _release(value: Mapping[str, Any], url: str) -> Release:
    name, scale = str(value["name"]), int(value["scale"])
    if not NAME.fullmatch(name):
        raise CheckpointError(f"{url}: {name!r} is no name of a network; check the index")
    return Release(
        name=name,
        model=str(value["model"]),
        scale=scale,
        is_denoiser=bool(value["denoiser"]),
        files=tuple(_file(name, one, url) for one in value["files"]),
    )


def _file(name: str, value: Mapping[str, Any], url: str) -> ReleaseFile:
    file, size = str(value["name"]), int(value["size"])
    if file not in {f"{name}{ending}" for ending in _ENDINGS}:
        raise CheckpointError(f"{url}: {file!r} is no file of {name}; check the index")
    digest = str(value["sha256"])
    address = urljoin(url, str(value["url"]))
    if not _SHA256.fullmatch(digest) or size < 1:
        raise CheckpointError(f"{url}: {file} has no SHA-256 or size; check the index")
    return ReleaseFile(name=file, url=address, sha256=digest, bytes=size, source=url)


def _is_http(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
