"""Unpack an archive of images so that its folder is there completely or not at all."""

import hashlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from edgesr.errors import DatasetError
from edgesr.files import write_text

SUMS_FILE = "SHA256SUMS"
"""Written into the folder, as ``sha256sum --check`` reads it."""


def unpack(archive: Path, to: Path, folder: str) -> None:
    """Unpack ``archive``, all of whose files lie in ``folder``, to ``to / folder``.

    Raises:
        DatasetError: the archive is damaged, or a file in it would land elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=to) as temporary:
        made = Path(temporary) / "images"
        made.mkdir()
        try:
            sums = _extract(archive, made, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DatasetError(f"{archive}: damaged archive ({error}); fetch it again") from error
        write_text(made / SUMS_FILE, "".join(f"{digest}  {name}\n" for name, digest in sums))
        (to / folder).parent.mkdir(parents=True, exist_ok=True)
        made.replace(to / folder)


def _extract(archive: Path, made: Path, folder: str) -> list[tuple[str, str]]:
    """Write the archive's files below ``made``; return their names and SHA-256."""
    sums = []
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            if member.is_dir():
                continue
            name = _name_below(member, folder, archive)
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with content.open(member) as source, target.open("wb") as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
            with target.open("rb") as stream:
                sums.append((name, hashlib.file_digest(stream, "sha256").hexdigest()))
    return sums


def _name_below(member: zipfile.ZipInfo, folder: str, archive: Path) -> str:
    place = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if is_link or ".." in place.parts or not place.is_relative_to(folder):
        raise DatasetError(
            f"{archive}: {member.filename} in it does not lie in {folder}; nothing was unpacked"
        )
    return place.relative_to(folder).as_posix()
