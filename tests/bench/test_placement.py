"""Your models in a suite's table."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgesr.bench.inference import Request
from edgesr.bench.placement import measure_suite, place
from edgesr.bench.suites import load_suite
from edgesr.cli import run
from edgesr.errors import ConfigError, DataError, DatasetError
from edgesr.evaluate import Evaluation, ImageResult
from edgesr.metrics import Score

SavePhoto = Callable[..., Path]
Files = dict[str, Path]
FLAGS = ["--shape", "16x24", "--repeats", "3", "--no-memory"]


@pytest.fixture
def images(tmp_path: Path, save_photo: SavePhoto) -> Path:
    for seed in range(2):
        save_photo(tmp_path / "set" / f"{seed}.png", 48, 60, seed)
    return tmp_path / "set"


def _evaluation(psnr: float) -> Evaluation:
    scores = {"mai": Score(psnr=psnr, ssim=0.87)}
    image = ImageResult(
        name="0801",
        hr_sha256="",
        lr_sha256=None,
        scores=scores,
        bicubic=scores,
        colour_bias=(0.0, 0.0, 0.0),
        seconds=0.1,
    )
    return Evaluation(upscaler="ours", scale=3, dataset="DIV2K", images=(image,))


def test_a_model_stands_where_its_quality_puts_it() -> None:
    suite = load_suite("mai22")
    timings = [{"name": "ours", "median_ms": 12.0}]
    rows = place(suite, {"ours": _evaluation(30.0)}, timings)
    names = [row["name"] for row in rows]
    assert names[:4] == ["Z6", "TOVB", "ours", "Vccip"]
    ours = rows[2]
    assert (ours["place"], ours["latency_ms"], ours["device"]) == (3, 12.0, "this host")
    assert rows[0]["device"] == "Synaptics VS680 NPU"


def test_other_images_get_no_place() -> None:
    suite = load_suite("mai22")
    rows = place(suite, {"ours": _evaluation(40.0)}, [], comparable=False)
    assert rows[-1]["name"] == "ours"
    assert rows[-1]["place"] is None
    assert rows[0]["place"] == 1


def test_the_psnr_of_baselines_is_that_of_the_protocol() -> None:
    rows = place(load_suite("etds-phones"), {}, [])
    assert rows[0]["name"] == "ETDS-L"
    assert rows[0]["psnr"] == 32.0


def test_quality_and_runtime_come_in_one_document(model_files: Files, images: Path) -> None:
    request = Request(
        models={"ours": model_files["int8"], "other": model_files["x2"]},
        shape=(16, 24),
        repeats=3,
        memory=False,
    )
    heard: list[str] = []
    document = measure_suite(request, "mai22", data=images, say=heard.append)
    assert [entry["name"] for entry in document["timings"]] == ["ours"]
    assert document["failures"][0]["name"] == "other"
    assert "upscales x2, but suite mai22 is x3" in document["failures"][0]["reason"]
    assert document["evaluations"][0]["count"] == 2
    assert list(document["evaluations"][0]["mean"]) == ["mai"]
    assert document["suite"]["comparable"] is False
    assert any("2 images, but suite mai22 stands for 100" in note for note in document["notes"])
    assert "2 HR images" in heard[0]
    assert document["timings"][0]["cost"]["params"] > 50_000


def test_without_its_images_the_runtime_alone_is_measured(
    model_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    heard: list[str] = []
    request = Request(models={"ours": model_files["int8"]}, shape=(16, 24), repeats=3, memory=False)
    document = measure_suite(request, "mai22", say=heard.append)
    assert document["evaluations"] == []
    assert "edgesr data download div2k_valid_hr" in heard[0]
    ours = next(row for row in document["placement"] if row["ours"])
    assert (ours["psnr"], ours["place"]) == (None, None)
    assert ours["latency_ms"] > 0


def test_bad_suites_data_and_scales_are_refused(
    model_files: Files, images: Path, tmp_path: Path
) -> None:
    request = Request(models={"ours": model_files["int8"]}, repeats=3, memory=False)
    with pytest.raises(ConfigError, match="did you mean mai22"):
        measure_suite(request, "mai2022", data=images)
    with pytest.raises(DatasetError, match="edgesr data download"):
        measure_suite(request, "mai22", data=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no images"):
        measure_suite(request, "mai22", data=tmp_path / "empty")
    wrong = replace(request, models={"x2": model_files["x2"]})
    with pytest.raises(DataError, match="upscales x2, but suite mai22 is x3"):
        measure_suite(wrong, "mai22", data=images)


def test_the_command_places_a_model_and_exits_3_for_a_failed_one(
    model_files: Files, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "result.json"
    suite = ["bench", "--suite", "mai22", "--data", str(images), *FLAGS]
    assert run([*suite, str(model_files["int8"]), "-o", str(written)]) == 0
    printed = capsys.readouterr()
    assert "TCLResearchEurope" in printed.out
    assert "published: arXiv 2211.05910" in printed.out
    assert "not placed among the baselines" in printed.err
    assert json.loads(written.read_text())["suite"]["name"] == "mai22"
    assert run([*suite, str(model_files["int8"]), str(model_files["x2"]), "--json"]) == 3
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["timings"]) == 1
    assert "error: 1 of 2 contenders failed" in printed.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--training", "--suite", "mai22"], "drop the models and --suite"),
        (["--data", "."], "are for --suite"),
        (["--threads", "0"], "want 1 or more"),
        (["--shape", "16"], "want HEIGHTxWIDTH"),
    ],
)
def test_flags_that_make_no_sense_exit_2(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *flags]) == 2
    assert message in capsys.readouterr().err


def test_two_files_are_timed_and_profiled(
    model_files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(model_files["int8"]), str(model_files["float"])]
    flags = ["--shape", "16x24", "--repeats", "8", "--profile"]
    assert run(["bench", *files, *flags]) == 0
    printed = capsys.readouterr().out
    assert "DEPTH_TO_SPACE" in printed
    assert "memory MiB" in printed
    assert "fastest: " in printed or "no winner: " in printed
