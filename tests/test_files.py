import json
import stat
from pathlib import Path

import pytest

from edgesr.errors import OutputError
from edgesr.files import atomic_path, sha256_file, write_bytes, write_json, write_text


def test_old_content_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_a_full_disk_keeps_the_old_content_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fill() -> None:
        with atomic_path(path), Path("/dev/full").open("wb", buffering=0) as stream:
            stream.write(b"x")

    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written \(No space left on device\)"):
        fill()
    assert path.read_bytes() == b"old"


def test_folders_are_made_and_files_are_readable_as_usual(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    write_text(path, "grün\n")
    usual = tmp_path / "usual.txt"
    usual.touch()
    assert path.read_text(encoding="utf-8") == "grün\n"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_a_folder_as_file_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder, want a file name"):
        write_bytes(tmp_path, b"")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file/a\.bin: cannot be written \("):
        write_bytes(tmp_path / "file" / "a.bin", b"")


def test_json_is_strict_and_ends_in_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"name": "grün"})
    assert path.read_text(encoding="utf-8").endswith('"grün"\n}\n')
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "grün"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": float("nan")})
    assert "grün" in path.read_text(encoding="utf-8")


def test_sha256_is_the_published_one_of_abc(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
