from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.data.verify import verify
from edgesr.errors import DatasetError
from edgesr.files import sha256_file

Save = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, save_photo: Save) -> Path:
    """Three good pairs in ``set``, with a manifest in the folder above."""
    root = tmp_path / "set"
    lines = ["file,bytes,sha256_file"]
    for name in "abc":
        for path in (root / "HR" / f"{name}.png", root / "LR_bicubic" / "X3" / f"{name}.png"):
            size = (24, 36) if path.parent.name == "HR" else (8, 12)
            save_photo(path, *size)
            lines.append(f"{path.relative_to(tmp_path)},1,{sha256_file(path)}")
    (tmp_path / "MANIFEST.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_good_set_has_no_problems(folder: Path) -> None:
    result = verify(folder, 3)
    assert (len(result.dataset.pairs), result.hashed, result.problems) == (3, 6, ())
    assert result.lists == (folder.parent / "MANIFEST.csv",)


def test_every_bad_file_is_named(folder: Path, save_photo: Save) -> None:
    save_photo(folder / "HR" / "a.png", 24, 36, seed=5)
    (folder / "HR" / "b.png").write_bytes(b"no image")
    low = save_photo(folder / "LR_bicubic" / "X3" / "c.png", 9, 12)
    (folder.parent / "MANIFEST.csv").write_text(
        f"file,sha256_file\nset/HR/a.png,{'0' * 64}\nset/HR/gone.png,{'0' * 64}\n"
    )
    problems = verify(folder, 3).problems
    hr = folder / "HR"
    assert len(problems) == 4
    assert any(p.startswith(f"{hr / 'a.png'}: SHA-256") for p in problems)
    assert any(p.startswith(f"{hr / 'b.png'}: ") for p in problems)
    assert f"{hr / 'gone.png'}: is listed, but missing" in problems
    assert any(p.startswith(f"{low}: low-resolution image of 12x9") for p in problems)


def test_without_a_list_of_hashes_the_images_are_still_decoded(folder: Path) -> None:
    (folder.parent / "MANIFEST.csv").unlink()
    result = verify(folder, 3)
    assert (result.hashed, result.lists, result.problems) == (0, (), ())


@pytest.mark.parametrize("content", [b"", b"name,colour\nx,y\n", b"file,sha256_file\n\xff,1\n"])
def test_a_manifest_that_is_no_list_of_hashes_is_an_error(folder: Path, content: bytes) -> None:
    (folder.parent / "MANIFEST.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"MANIFEST\.csv: cannot be read as a list of hashes"):
        verify(folder, 3)


def test_published_sets_match_their_manifests(shared_data: Path) -> None:
    low = shared_data / "eval_lr" / "Set5"
    result = verify(shared_data / "eval" / "Set5", 3, lr_root=low)
    assert (len(result.dataset.pairs), result.hashed, result.problems) == (5, 10, ())
