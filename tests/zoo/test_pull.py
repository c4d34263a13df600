"""``edgesr models pull`` from a server on this machine, and damaged files on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgesr.bench.cost import complexity
from edgesr.cli import run
from edgesr.cli.publish import _enter
from edgesr.errors import CheckpointError, UsageError
from edgesr.files import sha256_file
from edgesr.upscalers import load_upscaler
from edgesr.zoo import DEFAULT, ZOO, ZooEntry
from edgesr.zoo.find import find_entry, find_weights
from edgesr.zoo.release import add_release, parse_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "other_x3"
Photo = Callable[..., "NDArray[np.uint8]"]


def _pull(server: Any, *flags: str) -> int:
    return run(["models", "pull", NAME, "--from", server.index, *flags])


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models" / NAME).glob("*"))


def test_a_pulled_network_is_found_by_its_name(
    server: Any, tmp_path: Path, photo: Photo, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckpointError, match="no such model or file"):
        load_upscaler(NAME)
    assert _pull(server) == 0
    assert f"{NAME}: ncnet x3 in {tmp_path / 'cache'}" in capsys.readouterr().out
    names = [f"{NAME}.json", f"{NAME}.safetensors", f"{NAME}_int8.tflite", "release.json"]
    assert _left(tmp_path / "cache") == names
    assert find_weights(NAME) == tmp_path / "cache" / "models" / NAME / f"{NAME}.safetensors"
    upscaler, lr = load_upscaler(NAME), photo(12, 16)
    assert (upscaler.name, upscaler.scale) == (NAME, 3)
    np.testing.assert_array_equal(upscaler(lr), load_upscaler(DEFAULT)(lr))
    assert complexity(NAME, shape=(8, 8)).params == complexity(DEFAULT, shape=(8, 8)).params
    assert run(["models", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["pulled"]
    assert (listed["name"], listed["origin"], listed["params"]) == (NAME, "pulled", 52_279)


def test_what_is_there_and_right_is_not_fetched_again(server: Any) -> None:
    assert _pull(server) == 0
    count = len(server.files())
    assert _pull(server) == 0
    assert len(server.files()) == count == 3


def test_the_location_comes_from_the_environment_or_is_asked_for(
    server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "pull", NAME]) == 2
    message = capsys.readouterr().err
    assert "no release location is known" in message
    assert "--from URL of a release index, or set EDGESR_RELEASES" in message
    monkeypatch.setenv("EDGESR_RELEASES", server.index)
    assert run(["models", "pull", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["from"] == server.index
    assert run(["models", "pull", NAME, "--from", "file:///etc/passwd"]) == 2
    assert "want an http or https address" in capsys.readouterr().err


def test_a_wrong_checksum_leaves_nothing_to_use(
    server: Any, published: ZooEntry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(published.weights.read_bytes())
    content[-1] ^= 1
    published.weights.write_bytes(content)
    assert _pull(server) == 3
    message = capsys.readouterr().err
    assert "SHA-256 is" in message
    assert "not the published file" in message
    assert find_entry(NAME) is None
    assert not [name for name in _left(tmp_path / "cache") if "safetensors" in name]


def test_a_failed_update_leaves_the_earlier_one_in_use(
    server: Any, published: ZooEntry, tmp_path: Path
) -> None:
    assert _pull(server) == 0
    before = find_weights(NAME).read_bytes()
    published.tflite.write_bytes(published.tflite.read_bytes() + b"more")
    published.weights.write_bytes(b"another one")
    add_release(tmp_path / "server" / "releases.json", published)
    published.weights.unlink()
    assert _pull(server) == 3
    assert find_weights(NAME).read_bytes() == before
    assert load_upscaler(NAME).scale == 3


def test_a_truncated_file_is_refused(
    server: Any, published: ZooEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    published.weights.write_bytes(published.weights.read_bytes()[:1000])
    assert _pull(server) == 3
    assert "has 1000 bytes, want 211000; the file was replaced" in capsys.readouterr().err
    assert find_entry(NAME) is None


def test_a_broken_connection_is_gone_on_with(server: Any) -> None:
    server.breaks = [1000, 2000]
    assert _pull(server) == 0
    assert len([path for path in server.files() if path.endswith(".safetensors")]) == 3
    assert sha256_file(find_weights(NAME)) == sha256_file(ZOO[DEFAULT].weights)


def test_a_missing_file_network_and_index_are_named(
    server: Any, published: ZooEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "pull", "nothing_x2", "--from", server.index]) == 3
    assert f"has no network nothing_x2; it has {NAME}" in capsys.readouterr().err
    assert run(["models", "pull", NAME, "--from", f"{server.url}/none.json"]) == 3
    assert "the server answers 404" in capsys.readouterr().err
    published.weights.unlink()
    assert _pull(server) == 3
    assert "the server answers 404" in capsys.readouterr().err
    assert find_entry(NAME) is None
    assert run(["models", "pull", DEFAULT, "--from", server.index]) == 2
    assert f"{DEFAULT}: ships with edgesr" in capsys.readouterr().err


def test_without_a_network_the_message_says_so(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:9/releases.json"  # the discard port: nobody listens
    assert run(["models", "pull", NAME, "--from", url]) == 4
    message = capsys.readouterr().err
    assert "no answer from the server" in message
    assert "connect to the network" in message
    server.breaks = [10, 0, 0, 0, 0]
    assert _pull(server) == 4
    assert "are kept and the next call goes on" in capsys.readouterr().err
    server.breaks = []
    assert _pull(server) == 0


def test_a_damaged_pulled_file_is_refused_and_can_be_fetched_again(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _pull(server) == 0
    entry = find_entry(NAME)
    assert entry is not None
    entry.tflite.write_bytes(entry.tflite.read_bytes()[:-1])
    again = f"fetch it again with edgesr models pull {NAME}"
    with pytest.raises(CheckpointError, match=f"is damaged, SHA-256 is .* {again}"):
        load_upscaler(NAME)
    assert run(["lint", NAME]) == 3
    assert again in capsys.readouterr().err
    assert _pull(server) == 0
    assert load_upscaler(NAME).scale == 3
    (entry.folder / "release.json").write_text("{")
    with pytest.raises(CheckpointError, match=rf"release\.json: is damaged; {again}"):
        find_entry(NAME)


def test_a_shipped_file_damaged_on_disk_is_refused(
    published: ZooEntry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy stands for the shipped one, whose files stay as they are."""
    monkeypatch.setattr("edgesr.zoo.find.ZOO", {NAME: published})
    assert load_upscaler(NAME).scale == 3
    for path in published.files:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"?")
        with pytest.raises(CheckpointError, match=r"is damaged, SHA-256 is .*; reinstall edgesr"):
            load_upscaler(NAME) if path.suffix == ".tflite" else find_weights(NAME)
        path.write_bytes(content)
    published.weights.unlink()
    with pytest.raises(CheckpointError, match=r"is missing; reinstall edgesr"):
        find_weights(NAME)
    published.tflite.write_bytes(b"")
    assert run(["check", NAME, "--data", "demo"]) == 3
    assert "is damaged" in capsys.readouterr().err
    published.card.write_text("{")
    with pytest.raises(CheckpointError, match="no readable card; reinstall edgesr"):
        load_upscaler(NAME)


@pytest.mark.parametrize("name", ZOO)
def test_every_shipped_file_is_what_its_card_says(name: str) -> None:
    entry = ZOO[name]
    if not entry.runs.is_file():
        pytest.skip("this checkout ships no trained weights yet")
    assert [entry.intact(path) for path in entry.files] == list(entry.files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../evil"}, "is no name of a network"),
        ({"files": [{"name": "../x", "url": "x", "sha256": "0" * 64, "size": 1}]}, "is no file of"),
        (
            {"files": [{"name": "a_x2.json", "url": "x", "sha256": "0", "size": 1}]},
            "has no SHA-256 or size",
        ),
        ({"scale": "three"}, "is no release index"),
        ({"files": None}, "is no release index"),
    ],
)
def test_a_damaged_index_is_refused(change: dict[str, Any], message: str) -> None:
    good = {"name": "a_x2", "model": "a", "scale": 2, "denoiser": False, "files": []}
    index = {"schema": "edgesr/releases/1", "models": [{**good, **change}]}
    with pytest.raises(CheckpointError, match=message):
        parse_index(json.dumps(index), "http://h/i.json")
    with pytest.raises(CheckpointError, match="is edgesr/releases/2, want edgesr/releases/1"):
        parse_index('{"schema": "edgesr/releases/2", "models": []}', "http://h/i.json")


def test_an_index_grows_and_keeps_what_it_has(published: ZooEntry, tmp_path: Path) -> None:
    index = tmp_path / "server" / "releases.json"
    before = json.loads(index.read_text())["models"]
    assert [one["url"] for one in before[0]["files"]] == [
        f"nets/{NAME}_int8.tflite",
        f"nets/{NAME}.safetensors",
        f"nets/{NAME}.json",
    ]
    another = ZooEntry(name="a_x3", model="ncnet", scale=3, folder=published.folder)
    for old, new in zip(
        (*published.files, published.card), (*another.files, another.card), strict=True
    ):
        new.write_bytes(old.read_bytes())
    add_release(index, another)
    add_release(index, another)
    assert [one["name"] for one in json.loads(index.read_text())["models"]] == ["a_x3", NAME]
    with pytest.raises(UsageError, match="is not below its folder"):
        add_release(tmp_path / "elsewhere" / "releases.json", another)
    another.weights.unlink()
    with pytest.raises(CheckpointError, match="is missing; publish a_x3 first"):
        add_release(index, another)
    index.write_text("{}")
    with pytest.raises(CheckpointError, match="is no release index"):
        add_release(index, published)


def test_publishing_enters_what_the_card_says(
    published: ZooEntry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "server" / "new.json"
    _enter(None, NAME, published.folder)
    assert not index.exists()
    _enter(index, NAME, published.folder)
    assert f"entered into {index}" in capsys.readouterr().err
    found = parse_index(index.read_text(), "http://h/new.json")[NAME]
    assert (found.model, found.scale, found.is_denoiser) == ("ncnet", 3, False)
    assert found.files[0].url == f"http://h/nets/{NAME}_int8.tflite"
    assert {one.name: one.sha256 for one in found.files} == {
        path.name: sha256_file(path) for path in (*published.files, published.card)
    }


def test_shipped_networks_are_small() -> None:
    sizes = [
        path.stat().st_size
        for entry in ZOO.values()
        for path in entry.files
        if path.is_file() and not entry.is_denoiser
    ]
    assert max(sizes, default=0) <= 500_000
    assert sum(sizes) <= 6_000_000
