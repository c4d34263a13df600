"""Check a folder of images: every file decodes, pairs fit, and hashes are as listed."""

import csv
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgesr.data.layouts import Dataset, ImagePair, find_dataset, read_pair
from edgesr.data.unpack import SUMS_FILE
from edgesr.errors import DataError, DatasetError
from edgesr.files import sha256_file

MANIFEST_FILE = "MANIFEST.csv"
_LEVELS = 3
_HASH_COLUMNS = ("sha256_file", "sha256")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a check found.

    Attributes:
        dataset: the images.
        lists: files with hashes that were used.
        hashed: how many of the files such a list names.
        problems: one line for each thing that is wrong; empty when all is well.
    """

    dataset: Dataset
    lists: tuple[Path, ...]
    hashed: int
    problems: tuple[str, ...]


def _ignore(done: int, total: int) -> None:
    """Take progress and do nothing with it."""


def verify(
    root: Path, scale: int, *, lr_root: Path | None = None, progress: Progress = _ignore
) -> Verification:
    """Decode every image below ``root``, compare pairs, and compare hashes with a list.

    Hashes are looked for in ``MANIFEST.csv`` (columns ``file`` and ``sha256_file``) and in
    ``SHA256SUMS``, in the folder of the images or in the one above.

    Raises:
        DatasetError: there are no images, names do not pair, or a list cannot be read.
    """
    dataset = find_dataset(root, scale, lr_root=lr_root)
    lists: list[Path] = []
    wanted: dict[Path, str] = {}
    for folder in sorted({path.parent for pair in dataset.pairs for path in _files(pair)}):
        for path in _lists_for(folder, Path(root)):
            if path not in lists:
                lists.append(path)
                wanted |= _read_list(path)
    problems: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        checked = threads.map(lambda pair: _check(pair, scale, wanted), dataset.pairs)
        for done, found in enumerate(checked, 1):
            problems += found
            progress(done, len(dataset.pairs))
    present = {path.resolve() for pair in dataset.pairs for path in _files(pair)}
    inside = dataset.root.resolve()
    for path in wanted:
        if path.is_relative_to(inside) and not path.exists():
            problems.append(f"{path}: is listed, but missing")
    return Verification(
        dataset=dataset,
        lists=tuple(lists),
        hashed=len(present & wanted.keys()),
        problems=tuple(problems),
    )


def _check(pair: ImagePair, scale: int, wanted: Mapping[Path, str]) -> list[str]:
    problems = []
    try:
        read_pair(pair, scale)
    except DataError as error:
        problems.append(str(error))
    for path in _files(pair):
        want = wanted.get(path.resolve())
        if want is not None and path.is_file() and (came := sha256_file(path)) != want:
            problems.append(f"{path}: SHA-256 {came[:12]}..., want {want[:12]}...; fetch it again")
    return problems


def _files(pair: ImagePair) -> tuple[Path, ...]:
    return (pair.hr,) if pair.lr is None else (pair.hr, pair.lr)


def _lists_for(folder: Path, root: Path) -> list[Path]:
    """Return the lists in ``folder`` and above, up to the folder that holds ``root``.

    Low-resolution files outside ``root`` lie as deep as ``SET/X3``: so many levels are looked at.
    """
    here, top = folder.resolve(), root.resolve().parent
    folders = [here, *here.parents]
    count = folders.index(top) + 1 if top in folders else _LEVELS
    candidates = (f / name for f in folders[:count] for name in (SUMS_FILE, MANIFEST_FILE))
    return [path for path in candidates if path.is_file()]


def _read_list(path: Path) -> dict[Path, str]:
    """Return the hash of each file in the list, by absolute path."""
    folder = path.resolve().parent
    try:
        text = path.read_text(encoding="utf-8")
        if path.name == SUMS_FILE:
            lines = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
            return {folder / name.removeprefix("*"): digest.lower() for digest, name in lines}
        rows = list(csv.DictReader(text.splitlines()))
        column = next(name for name in _HASH_COLUMNS if name in rows[0])
        return {folder / row["file"]: row[column].lower() for row in rows}
    except (OSError, UnicodeDecodeError, ValueError, KeyError, IndexError, StopIteration) as error:
        raise DatasetError(
            f"{path}: cannot be read as a list of hashes; want columns file and sha256_file "
            f"(or lines of sha256sum for {SUMS_FILE})"
        ) from error
