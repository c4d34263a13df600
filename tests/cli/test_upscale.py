"""``edgesr upscale`` from the command line to the files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgesr.cli import run
from edgesr.export.tflite import write_float32
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.images import read_image
from edgesr.imresize import upscale_bicubic
from edgesr.models import build_model
from edgesr.upscalers import load_upscaler
from edgesr.zoo import DEFAULT, DEFAULTS, ZOO

SavePhoto = Callable[..., Path]
BICUBIC = ["--model", "bicubic", "--scale", "3"]


@pytest.fixture(scope="session")
def tiny_tflite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("tflite") / "net.tflite"
    path.write_bytes(write_float32(lower(capture(build_model("ncnet", 2), name="ncnet"))))
    return path


def test_a_tflite_file_upscales_a_photograph(
    tmp_path: Path, save_photo: SavePhoto, tiny_tflite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save_photo(tmp_path / "a [red].png", 20, 30)
    assert run(["upscale", str(source), "-n", str(tiny_tflite), "--threads", "1"]) == 0
    target = tmp_path / "a [red]_x2.png"
    expected = load_upscaler(tiny_tflite, threads=1)(read_image(source))
    np.testing.assert_array_equal(read_image(target), expected)
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{source} -> {target}  30x20 -> 60x40")
    assert printed.err == ""


def test_the_shipped_model_is_the_default(tmp_path: Path, save_photo: SavePhoto) -> None:
    if not ZOO[DEFAULT].tflite.is_file():
        pytest.skip("this checkout ships no trained weights yet")
    source = save_photo(tmp_path / "a.jpg", 20, 30)
    assert run(["upscale", str(source), "-o", str(tmp_path / "b.png"), "-t", "16"]) == 0
    expected = load_upscaler(DEFAULT)(read_image(source))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), expected)


def test_a_folder_and_its_names(tmp_path: Path, save_photo: SavePhoto) -> None:
    for name in ("a.png", "b.jpg"):
        save_photo(tmp_path / "in" / name)
    flags = ["--suffix", "-large", "--ext", "webp", "-o", str(tmp_path / "out")]
    assert run(["upscale", str(tmp_path / "in"), *BICUBIC, *flags]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a-large.webp",
        "b-large.webp",
    ]
    expected = upscale_bicubic(read_image(tmp_path / "in" / "a.png"), 3)
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a-large.webp"), expected)


def test_one_bad_file_does_not_stop_the_others(
    tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [save_photo(tmp_path / name) for name in ("a.png", "c.png")]
    bad = tmp_path / "b.png"
    bad.write_bytes(good[0].read_bytes()[:300])
    missing = tmp_path / "d.png"
    files = [str(path) for path in (good[0], bad, good[1], missing)]
    assert run(["upscale", *files, *BICUBIC]) == 3
    assert (tmp_path / "a_x3.png").is_file()
    assert (tmp_path / "c_x3.png").is_file()
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert lines[0].startswith(f"error: {bad}: damaged or cut short")
    assert lines[1].startswith(f"error: {missing}: no such file")
    assert lines[2] == f"error: 2 of 4 files failed: {bad}, {missing}"
    assert len(lines) == 3
    assert len(printed.out.splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.png",
        "a_x3.png",
        "b.png",
        "c.png",
        "c_x3.png",
    ]


def test_json_is_one_document_with_results_and_failures(
    tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save_photo(tmp_path / "a.png", 10, 12)
    missing = tmp_path / "b.png"
    assert run(["upscale", str(source), str(missing), *BICUBIC, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "bicubic"
    assert document["scale"] == 3
    assert document["files"][0]["output"] == str(tmp_path / "a_x3.png")
    assert document["files"][0]["size_out"] == [36, 30]
    assert document["failed"][0]["input"] == str(missing)


def test_an_input_is_never_overwritten(
    tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save_photo(tmp_path / "a.png")
    before = source.read_bytes()
    flags = ["-o", str(source), "--overwrite"]
    assert run(["upscale", str(source), *BICUBIC, *flags]) == 3
    assert source.read_bytes() == before
    assert "is an input and is not overwritten" in capsys.readouterr().err


def test_an_existing_file_is_replaced_when_asked(
    tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save_photo(tmp_path / "a.png")
    command = ["upscale", str(source), *BICUBIC]
    assert run(command) == 0
    assert run(command) == 3
    assert "a_x3.png: exists; pass --overwrite" in capsys.readouterr().err
    assert run([*command, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--tile", "-3"], (2, "tile")),
        (["--tile", "8"], (3, "cannot be tiled")),
        (["--threads", "0"], (2, "threads")),
        (["--ext", "xyz"], (3, "cannot write suffix")),
        (["--nonsense"], (2, "nonsense")),
        (["--model", "nothing"], (3, "no such model or file")),
    ],
)
def test_bad_flags_give_one_line_and_the_right_code(
    tmp_path: Path,
    save_photo: SavePhoto,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    expected: tuple[int, str],
) -> None:
    source = save_photo(tmp_path / "a.png")
    model = [] if "--model" in flags else BICUBIC
    code = run(["upscale", str(source), *model, *flags])
    error = capsys.readouterr().err
    assert code == expected[0]
    assert expected[1] in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_no_input_and_unshipped_scales_are_refused(
    tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["upscale", *BICUBIC]) == 2
    source = save_photo(tmp_path / "a.png")
    assert run(["upscale", str(source), "--scale", "7"]) == 3
    assert "no x7 model is shipped, only x" in capsys.readouterr().err


@pytest.mark.parametrize("scale", sorted(DEFAULTS))
def test_every_factor_has_a_network_of_that_factor_by_default(scale: int) -> None:
    assert ZOO[DEFAULTS[scale]].scale == scale
    assert {entry.scale for entry in ZOO.values()} == set(DEFAULTS)
