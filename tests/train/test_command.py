"""``edgesr train`` from photographs on disk to a run folder, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from edgesr.cli import run
from edgesr.models.checkpoint import load_model

ROOT = Path(__file__).resolve().parents[2]
Save = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, save_photo: Save) -> Path:
    for index in range(3):
        save_photo(tmp_path / "set" / f"{index}.png", 40, 48, seed=index)
    return tmp_path / "set"


def command(folder: Path | None, runs: object, **changes: object) -> list[str]:
    flags = {
        "data": folder,
        "runs": runs,
        "name": "r",
        "scale": 2,
        "steps": 4,
        "batch_size": 2,
        "patch_size": 8,
        "val_images": 1,
        "val_every": 2,
        "save_every": 2,
        "log_every": 1,
        "precision": "fp32",
        **changes,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    return [
        "train",
        *(part for k, v in given.items() for part in (f"--{k.replace('_', '-')}", str(v))),
    ]


def test_a_run_folder_holds_all_that_is_promised(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(folder, tmp_path / "runs")) == 0
    shown = capsys.readouterr()
    made = tmp_path / "runs" / "r"
    assert {path.name for path in made.iterdir()} == {
        "best.safetensors",
        "config.toml",
        "data.json",
        "last.safetensors",
        "log.jsonl",
        "samples",
        "samples.html",
        "training_state.pt",
    }
    assert shown.out.startswith("done at step 4: best PSNR ")
    assert "mai" in shown.out
    assert "flat folder: 3 HR images" in shown.err
    assert "demo" not in shown.err.lower()
    assert tomllib.loads((made / "config.toml").read_text())["data"] == str(folder.resolve())
    loaded = load_model(made)
    assert (loaded.descriptor.name, loaded.scale) == ("ncnet", 2)
    events = [json.loads(line) for line in (made / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "train"] == [1, 2, 3, 4]
    assert {"samples_per_s", "data_share", "learning_rate", "loss"} <= events[0].keys()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The same bits are promised for the same number of threads; earlier tests may have set it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_an_interrupted_run_resumes_to_the_same_bits(folder: Path, tmp_path: Path) -> None:
    steps = 60
    whole = command(folder, tmp_path / "whole", steps=steps)
    assert run(whole) == 0
    arguments = command(folder, tmp_path / "parts", steps=steps)
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "edgesr", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("step 3"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "error: interrupted"
    made = tmp_path / "parts" / "r"
    assert f"go on with edgesr train --resume {made}" in out
    assert run(["train", "--resume", str(made)]) == 0
    for name in ("last.safetensors", "best.safetensors"):
        assert (made / name).read_bytes() == (tmp_path / "whole" / "r" / name).read_bytes()


def test_resuming_with_another_setting_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(folder, tmp_path / "runs")) == 0
    made = tmp_path / "runs" / "r"
    before = (made / "last.safetensors").read_bytes()
    assert run(["train", "--resume", str(made), "--steps", "9"]) == 3
    assert "config.toml: steps is 4, but 9 was asked for" in capsys.readouterr().err
    assert (made / "last.safetensors").read_bytes() == before


def test_a_dry_run_checks_everything_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command(folder, tmp_path / "runs"), "--dry-run"]) == 0
    assert "2 images, 1 held out" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 64}, "side is 24x20, smaller than a patch of 64; remove the image or"),
        ({"scale": 5}, "model 'ncnet' has no scale 5; choose one of 2, 3, 4"),
        ({"val_images": 3}, "3 images, but 3 are to be held out"),
        ({"lr_data": "/no/such/folder"}, "/no/such/folder: does not exist"),
        ({"runs": "/dev/null/runs"}, "/dev/null/runs/r: cannot be made"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    message: str,
) -> None:
    assert run(command(folder, **{"runs": tmp_path / "runs", **changes})) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / "runs").exists()


def test_a_damaged_image_stops_the_run_before_it_begins(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = folder / "1.png"
    bad.write_bytes(bad.read_bytes()[:300])
    assert run(command(folder, tmp_path / "runs")) == 3
    assert capsys.readouterr().err.startswith(f"error: {bad}: ")
    assert not (tmp_path / "runs").exists()


def test_a_finished_run_can_be_resumed_without_harm(folder: Path, tmp_path: Path) -> None:
    assert run(command(folder, tmp_path / "runs")) == 0
    weights = tmp_path / "runs" / "r" / "last.safetensors"
    before = weights.read_bytes()
    assert run(["train", "--resume", str(weights.parent)]) == 0
    assert weights.read_bytes() == before


def test_pairs_of_another_scale_are_refused(
    folder: Path, tmp_path: Path, save_photo: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(3):
        save_photo(folder / "X2" / f"{index}.png", 10, 12)
    assert run(command(folder, tmp_path / "runs")) == 3
    assert "does not fit" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_without_data_it_says_loudly_that_this_is_a_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage", reason="the demo photographs come with scikit-image")
    assert run([*command(None, tmp_path / "runs", scale=4), "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "DEMO" in shown.err
    assert "--data" in shown.err
    assert shown.out == ""


@pytest.mark.slow
def test_two_processes_make_one_run_speak_once_and_stop_together(
    folder: Path, tmp_path: Path
) -> None:
    arguments = command(folder, tmp_path / "runs", steps=5000, val_every=5000, save_every=5000)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m"]
    with subprocess.Popen(  # noqa: S603
        [*torchrun, "edgesr", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if line.startswith("step 12"):
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=90)
    assert sum(line.startswith("training on ") for line in seen) == 1
    assert out.startswith("interrupted at step ")
    assert out.count("interrupted at") == 1
    made = tmp_path / "runs" / "r"
    lines = [json.loads(line) for line in (made / "log.jsonl").read_text().splitlines()]
    steps = [event["step"] for event in lines]
    assert steps == list(range(1, len(steps) + 1))
    assert load_model(made / "last.safetensors").metadata["step"] == str(steps[-1])


@pytest.mark.parametrize("scale", ["2", "3", "4"])
def test_without_data_the_default_settings_fit_the_demo_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scale: str
) -> None:
    pytest.importorskip("skimage", reason="the demo photographs come with scikit-image")
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--scale", scale, "--dry-run"]) == 0
    assert "training on 6 images, 2 held out" in capsys.readouterr().err


def test_qat_from_a_run_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--qat", "--from", "nothing"]) == 3
    assert "nothing: no such checkpoint" in capsys.readouterr().err
