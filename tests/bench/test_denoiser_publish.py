"""A denoiser is published with its card, is found by its name, and names its student."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

from edgesr.bench.diffusion import Settings, candidates, new_document, with_row
from edgesr.cli import run
from edgesr.data.layouts import find_dataset
from edgesr.errors import CheckpointError
from edgesr.export.learning_curve import learning_curve
from edgesr.files import sha256_file, write_json
from edgesr.images import read_image
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.load import Sampling
from edgesr.zoo import ZOO, ZooEntry
from tests.export.stepwise_case import made_centre

SavePhoto = Callable[..., Path]
TOLD = ["--photographs", "two, public domain", "--hardware", "one core"]


def a_run(folder: Path, *, seed: int, teacher: Path | None = None) -> Path:
    torch.manual_seed(seed)
    network = build_denoiser("resshift_px_s", 2)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    folder.mkdir()
    learned = {"distilled_by": "sinsr", "teacher_sha256": sha256_file(teacher)} if teacher else {}
    save_denoiser(
        folder / "last.safetensors",
        network.state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(
            name="resshift", parameters={"num_steps": 3}, sampling_steps=1 if teacher else 2
        ),
        prediction="residual",
        centre=made_centre(folder),
        metadata={"data": f"images in {folder}", "step": "20", **learned},
    )
    config = {"model": "resshift_px_s", "scale": 2, "data": str(folder), "runs": str(folder)}
    (folder / "config.toml").write_text(tomli_w.dumps(config))
    events: list[dict[str, Any]] = [
        {"event": "train", "step": 5, "loss": 3.0},
        {"event": "validate", "step": 10, "psnr_mai": 20.0},
        {"event": "train", "step": 15, "loss": 2.0},
        {"event": "validate", "step": 20, "psnr_mai": 21.0},
        {"event": "validate", "step": 10, "psnr_mai": 20.5},
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    return folder / "last.safetensors"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return a_run(tmp_path / "teacher", seed=0)


@pytest.fixture
def student(tmp_path: Path, teacher: Path) -> Path:
    return a_run(tmp_path / "student", seed=1, teacher=teacher)


@pytest.fixture
def results(tmp_path: Path, teacher: Path, student: Path, save_photo: SavePhoto) -> Path:
    """Rows whose figures were not measured: here the card is tested, not the measurement."""
    save_photo(tmp_path / "set" / "0.png")
    document = new_document(Settings(), {"set": find_dataset(tmp_path / "set", 2)}, previous=None)
    listed = [
        *candidates("bicubic", "bicubic", scale=2),
        *candidates("first", teacher),
        *candidates("second", student),
    ]
    metrics = ("ssim_y", "ms_ssim", "vif", "gmsd", "spectrum_distance_db", "high_frequency_ratio")
    for number, one in enumerate(listed):
        facts = {key: value for key, value in asdict(one).items() if key != "source"}
        figures = {**dict.fromkeys(metrics, 0.5), "psnr_y": 30.0 + number, "diversity": None}
        row = {"set": "set", **facts, **figures, "evaluations": one.steps or 0}
        document = with_row(document, row, {"cpu": "some"})
    path = tmp_path / "results.json"
    write_json(path, document)
    return path


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "zoo"
    entries = {
        name: ZooEntry(name=name, model="resshift_px_s", scale=2, is_denoiser=True, folder=folder)
        for name in ("net_x2", "net_x2_1step")
    }
    zoo = MappingProxyType({**ZOO, **entries})
    for module in ("edgesr.zoo", "edgesr.zoo.find", "edgesr.upscalers.load"):
        monkeypatch.setattr(f"{module}.ZOO", zoo)
    return folder


@pytest.fixture
def published(shipped: Path, teacher: Path, student: Path, results: Path) -> Path:
    flags = ["--to", str(shipped), "--results", str(results), *TOLD]
    assert run(["publish", str(teacher), "--name", "net_x2", *flags]) == 0
    flags += ["--teacher", "net_x2"]
    assert run(["publish", str(student), "--name", "net_x2_1step", *flags]) == 0
    return shipped


def test_file_and_card_hold_the_weights_and_no_folder(
    published: Path, teacher: Path, tmp_path: Path
) -> None:
    was, now = load_denoiser(teacher), load_denoiser(published / "net_x2.safetensors")
    assert now.schedule == was.schedule
    for name, value in was.module.state_dict().items():
        assert torch.equal(now.module.state_dict()[name], value)
    assert was.centre is not None
    assert now.centre is not None
    for name, value in was.centre.module.state_dict().items():
        assert torch.equal(now.centre.module.state_dict()[name], value)
    for path in published.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()
    card = json.loads((published / "net_x2.json").read_text())
    assert card["run_sha256"] == sha256_file(teacher)
    assert card["sampling"]["centre"]["sha256"] == was.centre.sha256
    assert "a `espcn` of" in (published / "net_x2.md").read_text()
    assert card["files"]["net_x2.safetensors"]["sha256"] == sha256_file(
        published / "net_x2.safetensors"
    )
    assert [(row["name"], row["steps"]) for row in card["rows"]] == [
        ("bicubic", None),
        ("net_x2", 3),
        ("net_x2", 2),
        ("net_x2", 1),
    ]


def test_the_pages_say_where_it_came_from_and_name_each_other(published: Path) -> None:
    of_teacher = (published / "net_x2.md").read_text()
    of_student = (published / "net_x2_1step.md").read_text()
    for text in ("two, public domain", "one core", "| 20 | 21.000 | 2 |", 'model = "resshift'):
        assert text in of_teacher
    assert "--steps 1 photo.jpg" in of_teacher
    assert "[net_x2_1step](net_x2_1step.md)" in of_teacher
    assert "distilled from [net_x2](net_x2.md)" in of_student
    assert "`net_x2_1step` in 1 step against `net_x2` in 2 steps, its teacher" in of_student


def test_publishing_again_keeps_the_student_until_the_weights_change(
    published: Path, teacher: Path, results: Path, tmp_path: Path
) -> None:
    flags = ["--name", "net_x2", "--to", str(published), "--results", str(results), *TOLD]
    assert run(["publish", str(teacher), *flags]) == 0
    assert json.loads((published / "net_x2.json").read_text())["one_step"] == "net_x2_1step"
    card = json.loads((published / "net_x2.json").read_text())
    write_json(published / "net_x2.json", {**card, "run_sha256": "another"})
    assert run(["publish", str(teacher), *flags]) == 0
    assert json.loads((published / "net_x2.json").read_text())["one_step"] is None
    assert tmp_path.is_dir()


def test_one_step_of_the_teacher_is_taken_by_its_student(
    published: Path, tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save_photo(tmp_path / "a.png", 20, 24)
    lr = read_image(photo)
    assert load_upscaler("net_x2").name == "net_x2 (2 steps)"
    one_step = load_upscaler("net_x2", sampling=Sampling(steps=1))
    assert one_step.name == "net_x2_1step (1 step)"
    expected = load_upscaler(published / "net_x2_1step.safetensors")(lr)
    np.testing.assert_array_equal(one_step(lr), expected)
    capsys.readouterr()
    flags = ["--model", "net_x2", "--steps", "1", "-o", str(tmp_path / "b.png")]
    assert run(["upscale", str(photo), *flags]) == 0
    assert capsys.readouterr().err == "one step: by net_x2_1step, the student of net_x2\n"
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), expected)
    assert run(["eval", "net_x2", "--steps", "1", "--data", str(tmp_path), "--limit", "1"]) == 0
    assert "by net_x2_1step" in capsys.readouterr().err


def test_without_a_student_one_step_says_what_it_is(
    published: Path, tmp_path: Path, save_photo: SavePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save_photo(tmp_path / "a.png", 20, 24)
    card = json.loads((published / "net_x2.json").read_text())
    flags = ["--model", "net_x2", "--steps", "1", "-o", str(tmp_path / "b.png"), "--overwrite"]
    for student, code, message in (
        (None, 0, "no one-step student of it ships"),
        ("lost", 3, "names the one-step student lost, which is not shipped"),
    ):
        write_json(published / "net_x2.json", {**card, "one_step": student})
        assert run(["upscale", str(photo), *flags]) == code
        assert message in capsys.readouterr().err


def test_shipped_denoisers_are_listed_counted_and_timed(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)["shipped"]}
    assert listed["net_x2"]["psnr"] == {"set classic-y": 32.0}
    assert listed["net_x2"]["steps"] == 2
    assert [Path(file["path"]).parent for file in listed["net_x2"]["files"]] == [published]
    assert run(["cost", "net_x2", "--shape", "16x16", "--json"]) == 0
    (cost,) = json.loads(capsys.readouterr().out)["models"]
    assert cost["num_steps"] == 2
    flags = ["--shape", "16x16", "--repeats", "2", "--no-memory", "--json"]
    assert run(["bench", "net_x2", "--steps", "3", *flags]) == 0
    (timing,) = json.loads(capsys.readouterr().out)["timings"]
    assert timing["cost"]["num_steps"] == 3
    assert timing["cost"]["total_macs"] - cost["total_macs"] == cost["macs"]


def test_a_denoiser_has_no_tflite(shipped: Path) -> None:
    entry = ZooEntry(name="net_x2", model="sr3", scale=2, is_denoiser=True, folder=shipped)
    with pytest.raises(CheckpointError, match=r"net_x2: .* ships no \.tflite"):
        _ = entry.tflite
    assert entry.files == (entry.runs,) == (shipped / "net_x2.safetensors",)


def test_what_cannot_be_published_is_refused_and_nothing_written(
    shipped: Path,
    teacher: Path,
    student: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = ["--to", str(shipped), "--name", "net_x2"]
    told = ["--results", str(results), *TOLD]
    document = json.loads(results.read_text())
    empty = results.with_name("empty.json")
    write_json(empty, {**document, "rows": document["rows"][:1]})
    cases = (
        ([str(teacher), *TOLD[:2]], 2, "give --results, --photographs and --hardware"),
        ([str(teacher), *told, "--evaluate", "a=b"], 2, "is a denoiser; drop --evaluate"),
        ([str(student), *told], 2, "is a student; publish its teacher first"),
        ([str(student), *told, "--teacher", "net_x2"], 3, "publish net_x2 first"),
        ([str(teacher), *told, "--teacher", "net_x2"], 2, "learned from no teacher"),
        ([str(teacher), "--results", str(empty), *TOLD], 3, "have no row of its weights"),
    )
    for arguments, code, message in cases:
        assert run(["publish", *arguments, *base]) == code
        assert message in capsys.readouterr().err
        assert not shipped.exists()


def test_a_student_of_another_teacher_is_refused(
    published: Path, student: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = json.loads((published / "net_x2.json").read_text())
    write_json(published / "net_x2.json", {**card, "run_sha256": "0" * 64})
    flags = ["--to", str(published), "--results", str(results), "--teacher", "net_x2", *TOLD]
    assert run(["publish", str(student), "--name", "net_x2_1step", *flags]) == 3
    assert "publish its own teacher" in capsys.readouterr().err


def test_the_curve_of_a_resumed_run_counts_its_last_entries(tmp_path: Path, teacher: Path) -> None:
    assert learning_curve(teacher.parent / "log.jsonl") == [
        {"step": 10, "psnr": 20.5, "loss": 3.0},
        {"step": 20, "psnr": 21.0, "loss": 2.0},
    ]
    (tmp_path / "log.jsonl").write_text('{"event": "train", "step": 1, "loss": 1}\n')
    with pytest.raises(CheckpointError, match="holds no validation"):
        learning_curve(tmp_path / "log.jsonl")
