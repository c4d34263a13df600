import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

import edgesr.data.known
from edgesr.cli import run
from edgesr.data.known import KNOWN_SETS

Save = Callable[..., Path]


def test_list_as_json_names_licence_and_checksum(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edgesr/data-list/1"
    assert document["sets"][0]["name"] == "div2k_train_hr"
    assert all(known["licence"] and known["sha256"] for known in document["sets"])


def test_verify_says_what_it_found(
    tmp_path: Path, save_photo: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    save_photo(tmp_path / "HR" / "a.png")
    save_photo(tmp_path / "LR_bicubic" / "X3" / "ax3.png", 8, 12)
    assert run(["data", "verify", str(tmp_path)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == (
        f"benchmark layout (HR, LR_bicubic): 1 HR + 1 LR x3 pairs in {tmp_path / 'HR'}"
    )
    assert (
        last == "1 images decoded, 0 files compared by SHA-256, no list of hashes found: all well"
    )


def test_verify_ends_with_3_on_a_damaged_image_and_lists_it_as_json(
    tmp_path: Path, save_photo: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    save_photo(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    assert run(["data", "verify", str(tmp_path), "--json"]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["images"] == 2
    assert len(document["problems"]) == 1
    assert err.startswith(f"error: {tmp_path}: 1 problems, the first: {tmp_path / 'b.png'}")


def test_verify_refuses_a_scale_below_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "verify", ".", "--scale", "0"]) == 2
    assert "--scale" in capsys.readouterr().err


def test_download_prints_the_licence_first_and_ends_with_4_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    known = KNOWN_SETS["div2k_valid_lr_x4"]
    nowhere = MappingProxyType({known.name: replace(known, url="http://127.0.0.1:9/x.zip")})
    monkeypatch.setattr(edgesr.data.known, "KNOWN_SETS", nowhere)
    assert run(["data", "download", known.name, "--to", str(tmp_path)]) == 4
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("licence: DIV2K is for academic research only")
    assert lines[2].startswith("error: http://127.0.0.1:9/x.zip: no answer from the server")


@pytest.mark.parametrize("names", [[], ["div2k"]])
def test_download_of_an_unknown_set_lists_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str]
) -> None:
    assert run(["data", "download", *names, "--to", str(tmp_path)]) == 2
    assert "choose of div2k_train_hr" in capsys.readouterr().err
