"""A network is published with certificate and card, and its card is completed later."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from edgesr.bench.zoo_facts import trained_facts
from edgesr.cli import run
from edgesr.files import sha256_file, write_json
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.zoo import DEFAULT, ZOO, ZooEntry

SavePhoto = Callable[..., Path]
TOLD = ["--photographs", "four, public domain", "--hardware", "one core"]


def a_run(folder: Path, *, seed: int) -> Path:
    torch.manual_seed(seed)
    network = build_model("edge_s", 2)
    folder.mkdir()
    metadata = {"data": f"images in {folder}", "step": "20", "commit": "c" * 40}
    save_weights(
        folder / "best.safetensors",
        network.state_dict(),
        model="edge_s",
        scale=2,
        metadata=metadata,
    )
    config = {"model": "edge_s", "scale": 2, "data": str(folder), "runs": str(folder)}
    (folder / "config.toml").write_text(tomli_w.dumps(config))
    events: list[dict[str, Any]] = [
        {"event": "train", "step": 10, "loss": 3.0},
        {"event": "validate", "step": 10, "psnr_mai": 20.0, "psnr_to_float": 50.0},
        {"event": "validate", "step": 20, "psnr_mai": 21.0, "psnr_to_float": 50.0},
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    return folder


def timing(name: str, digest: str, cpu_ms: list[float]) -> dict[str, Any]:
    """An entry whose figures were not measured: here the card is tested, not the measurement."""
    same = {"runtime": "xnnpack", "threads": 1, "wall_ms": cpu_ms, "cpu_ms": cpu_ms}
    return {"name": name, "sha256": digest, **same}


def bench(path: Path, *timings: dict[str, Any]) -> Path:
    document = {"schema": "edgesr/bench/1", "what": "inference", "shape": "8x8"}
    write_json(path, {**document, "timings": timings, "environment": {"cpu": "some"}})
    return path


def test_a_run_without_its_log_is_refused_before_anything_is_measured_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, to = a_run(tmp_path / "run", seed=0), tmp_path / "zoo"
    (trained / "log.jsonl").unlink()
    words = ["--name", "edge_s_x2", "--to", str(to), "--evaluate", f"Some={tmp_path}", *TOLD]
    assert run(["publish", str(trained), *words]) == 3
    assert "log.jsonl: cannot be read" in capsys.readouterr().err
    assert not to.exists()


def test_a_network_is_published_whole_and_its_time_is_entered_later(
    tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 80, seed=number)
    trained, to = a_run(tmp_path / "run", seed=0), tmp_path / "zoo"
    name = ["publish", str(trained), "--name", "edge_s_x2", "--to", str(to)]
    photos = str(tmp_path / "photos")
    measured = ["--evaluate", f"Some={photos}", "--calibration", photos]
    index = ["--index", str(tmp_path / "releases.json")]
    assert run([*name, *TOLD]) == 2
    assert "without --evaluate" in capsys.readouterr().err
    assert run([*name, *measured, *TOLD, *index, "--notes", "a test"]) == 0
    entry = ZooEntry(name="edge_s_x2", model="edge_s", scale=2, folder=to)
    card = entry.read_card()
    assert card["training"]["hardware"] == "one core"
    assert card["training"]["commit"] == "c" * 40
    assert [point["psnr"] for point in card["training"]["curve"]] == [20.0, 21.0]
    assert {one["mismatches"] for one in card["certificate"]["kernels"].values()} == {0}
    assert card["cpu_ratio"] == []
    for path in to.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()
        if path.suffix != ".md" and path != entry.card:
            assert card["files"][path.name]["sha256"] == sha256_file(path)
    assert run(["verify", "--replay", str(to / "edge_s_x2_int8.certificate.json")]) == 0
    (listed,) = json.loads((tmp_path / "releases.json").read_text())["models"]
    assert len(listed["files"]) == 6

    own = timing("own", sha256_file(entry.tflite), [4.0, 5.0, 4.0])
    (digest,) = [
        about["sha256"]
        for file, about in ZOO[DEFAULT].read_card()["files"].items()
        if file.endswith(".tflite")
    ]
    alone = bench(tmp_path / "alone.json", own)
    assert run([*name, "--results", str(alone)]) == 3
    assert f"has no time of edge_s_x2_int8.tflite beside {DEFAULT}" in capsys.readouterr().err
    both = bench(tmp_path / "both.json", timing("ncnet", digest, [10.0, 10.0, 10.0]), own)
    assert run([*name, "--results", str(both), "--hardware", "two cores"]) == 0
    later = entry.read_card()
    assert later["evaluations"] == card["evaluations"]
    assert later["notes"] == "a test"
    assert later["training"]["hardware"] == "two cores"
    (speed,) = later["cpu_ratio"]
    assert (speed["ratio"], speed["cpu"]) == (0.4, "some")
    assert trained_facts(entry)["cpu_ratio"] == [speed]  # without any results file
    page = (to / "edge_s_x2.md").read_text()
    assert "0.40 (0.40 to 0.45) with 1 thread of some" in page
    assert "| 20 | 21.000 | 3 |" in page

    other = ["publish", str(a_run(tmp_path / "other", seed=1)), *name[2:]]
    assert run([*other, "--results", str(both)]) == 3
    assert "has other weights than edge_s_x2.safetensors" in capsys.readouterr().err
