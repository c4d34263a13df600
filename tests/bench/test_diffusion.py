"""Denoisers are compared at several numbers of steps, and a measurement can be interrupted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgesr.bench.diffusion import (
    SCHEMA,
    Candidate,
    Settings,
    candidates,
    is_measured,
    measure,
    new_document,
    with_row,
)
from edgesr.bench.diffusion_page import END, START, findings, results_section, with_section
from edgesr.bench.results import read_document
from edgesr.cli import run
from edgesr.data.layouts import find_dataset, read_pair
from edgesr.errors import DataError, DiffusionError
from edgesr.evaluate import evaluate
from edgesr.files import sha256_file
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.load import Sampling

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("diffusion_x*.json"))
SavePhoto = Callable[..., Path]


def write(path: Path, seed: int, *, distilled_from: Path | None = None) -> Path:
    torch.manual_seed(seed)
    network = build_denoiser("resshift_px_s", 2)
    with torch.no_grad():
        network.get_parameter("core.head.weight").normal_(0.0, 0.02)
    path.parent.mkdir(exist_ok=True)
    student = {} if distilled_from is None else {"teacher_sha256": sha256_file(distilled_from)}
    save_denoiser(
        path,
        network.state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(
            name="resshift",
            parameters={"num_steps": 3},
            sampling_steps=1 if student else 2,
        ),
        prediction="residual",
        metadata={**student, **({"distilled_by": "sinsr"} if student else {})},
    )
    return path


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("teacher") / "last.safetensors", 0)


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    folder = tmp_path_factory.mktemp("student")
    return write(folder / "last.safetensors", 1, distilled_from=teacher)


@pytest.fixture
def images(tmp_path: Path, save_photo: SavePhoto) -> Path:
    save_photo(tmp_path / "photos" / "0.png", 182, 184)
    return tmp_path / "photos"


@pytest.fixture
def sources(teacher: Path, student: Path) -> list[str]:
    return [f"teacher={teacher}", f"student={student}"]


def test_a_denoiser_is_measured_at_all_usual_and_one_step(teacher: Path, student: Path) -> None:
    found = candidates("t", teacher)
    assert [(one.steps, one.is_usual) for one in found] == [(3, False), (2, True), (1, False)]
    assert {one.path_steps for one in found} == {3}
    assert [one.steps for one in candidates("t", teacher, steps=(1, 3, 1))] == [3, 1]
    (only,) = candidates("s", student, steps=(3, 2))
    assert (only.steps, only.is_distilled, only.is_usual) == (1, True, True)
    assert only.teacher_sha256 == found[0].sha256
    with pytest.raises(DiffusionError, match="9 steps, want 1 to 3"):
        candidates("t", teacher, steps=(9,))


def test_a_row_has_what_evaluate_finds_and_the_spread_over_seeds(
    teacher: Path, images: Path
) -> None:
    one = candidates("t", teacher, steps=(2,))[0]
    dataset = find_dataset(images, 2)
    row = measure(one, dataset, Settings(seed=5, seeds=2), threads=1)
    sample = [load_upscaler(teacher, sampling=Sampling(steps=2, seed=seed)) for seed in (5, 6)]
    again = evaluate(sample[0], dataset, ("classic-y",), metrics=("vif",))
    assert row["psnr_y"] == again.scores["classic-y"].psnr
    assert row["vif"] == again.perceptual["vif"]
    assert row["evaluations"] == 2
    assert str(images) not in json.dumps(row)
    lr, _ = read_pair(dataset.pairs[0], 2)
    first, second = (one(lr).astype(float) for one in sample)
    assert row["diversity"] == pytest.approx(np.abs(first - second).mean() / np.sqrt(2))
    assert row["diversity"] > 0


def test_an_interrupted_measurement_goes_on(
    sources: list[str],
    images: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = images.parent / "results.json"
    flags = ["--data", str(images), "--results", str(results)]
    measured: list[str] = []

    def quick(one: Candidate, *_: Any, **__: Any) -> dict[str, Any]:
        if len(measured) == 2:
            measured.clear()
            raise KeyboardInterrupt
        measured.append(one.name)
        facts = {key: getattr(one, key) for key in a_row("") if hasattr(one, key)}
        return {**a_row(""), **facts, "ssim_y": 0.5, "diversity": None, "evaluations": one.steps}

    monkeypatch.setattr("edgesr.bench.diffusion.measure", quick)
    assert run(["diffusion", *sources, *flags]) == 130
    before = read_document(results, {SCHEMA})["rows"]
    assert [(row["name"], row["steps"]) for row in before] == [("bicubic", None), ("teacher", 3)]
    capsys.readouterr()
    assert run(["diffusion", *sources, *flags]) == 130
    assert run(["diffusion", *sources, *flags]) == 0
    printed = capsys.readouterr()
    assert "photos: teacher, 3 steps: in the results already" in printed.err
    document = read_document(results, {SCHEMA})
    assert document["rows"][:2] == before
    assert len(document["rows"]) == 5
    assert "student in 1 step against teacher in 2 steps, its teacher" in printed.out
    assert run(["diffusion", *sources, *flags, "--seed", "1"]) == 3
    assert "have seed 0, but 1 was asked for" in capsys.readouterr().err


def test_a_retrained_network_takes_the_place_of_its_earlier_row(
    teacher: Path, student: Path, images: Path
) -> None:
    document = new_document(Settings(), {"photos": find_dataset(images, 2)}, previous=None)
    first, other = candidates("net", teacher, steps=(1,))[0], candidates("net", student)[0]
    for one, value in ((first, 1.0), (other, 2.0)):
        assert not is_measured(document, one, "photos")
        facts = {"name": one.name, "steps": one.steps, "sha256": one.sha256, "set": "photos"}
        document = with_row(document, {**facts, "psnr_y": value}, {"cpu": "some"})
        assert is_measured(document, one, "photos")
    assert [row["psnr_y"] for row in document["rows"]] == [2.0]
    assert document["environments"] == [{"cpu": "some"}]


def test_other_images_of_the_same_name_are_refused(images: Path, save_photo: SavePhoto) -> None:
    document = new_document(Settings(), {"photos": find_dataset(images, 2)}, previous=None)
    save_photo(images / "0.png", 182, 184, seed=1)
    with pytest.raises(DataError, match="have other images named photos"):
        new_document(Settings(), {"photos": find_dataset(images, 2)}, previous=document)


def a_row(name: str, **values: Any) -> dict[str, Any]:
    metrics = {"ms_ssim": 0.9, "vif": 0.5, "gmsd": 0.1, "spectrum_distance_db": 5.0}
    facts = {"sha256": name, "steps": None, "is_usual": True, "is_distilled": False}
    return {
        "name": name,
        **facts,
        **metrics,
        "high_frequency_ratio": 0.8,
        "psnr_y": 30.0,
        "path_steps": None,
        "teacher_sha256": None,
        **values,
    }


def test_findings_compare_what_belongs_together() -> None:
    denoiser = {"sha256": "d", "path_steps": 15}
    rows = [
        a_row("bicubic", sha256=None),
        a_row("plain", spectrum_distance_db=9.0),
        a_row("net", steps=15, is_usual=False, psnr_y=30.1, **denoiser),
        a_row("net", steps=4, **denoiser),
        a_row("one", steps=1, is_distilled=True, teacher_sha256="d", psnr_y=30.5, vif=0.4),
        a_row("of_another", steps=1, is_distilled=True, teacher_sha256="x"),
    ]
    said = findings(rows)
    assert said[:2] == [
        "`net` in 4 steps against all 15: -0.10 dB PSNR-Y.",
        (
            "`one` in 1 step against `net` in 4 steps, its teacher: +0.50 dB PSNR-Y; of 5 "
            "perceptual metrics worse in VIF."
        ),
    ]
    assert len(said) == 5
    assert "`net` in 4 steps is nearer to the original's than that of `plain`" in said[2]


def test_the_section_is_replaced_between_its_marks() -> None:
    page = f"# A\n\n{START}\n\nold\n\n{END}\n\nrest\n"
    assert with_section(page, "new", "page.md") == page.replace("old", "new")
    for damaged in ("", START, page + START, f"{END}\n{START}\n"):
        with pytest.raises(DataError, match=r"page\.md: want one line"):
            with_section(damaged, "new", "page.md")


def test_the_section_in_the_docs_is_the_one_of_the_results() -> None:
    if not RESULTS:
        pytest.skip("this checkout has no results of denoisers")
    section = results_section([read_document(path, {SCHEMA}) for path in RESULTS])
    page = (ROOT / "docs" / "diffusion.md").read_text()
    assert with_section(page, section, "docs/diffusion.md") == page


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "or --results and --docs to write the page"),
        (["bicubic"], 2, "no images; name a folder with --data"),
        (["bicubic", "--data", "a", "--lr", "b", "--lr", "c"], 2, "2 --lr for 1 --data"),
        (["bicubic", "--data", "a", "--steps", "2"], 2, "no diffusion denoiser among them"),
        (["nothing", "--data", "a"], 3, "no such model or file"),
        (["bicubic", "--docs", "page.md", "--data", "a"], 2, "drop MODELS"),
        (["--results", "missing.json", "--docs", "page.md"], 3, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diffusion", *arguments]) == code
    assert message in capsys.readouterr().err


def test_the_command_writes_the_page(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, page = tmp_path / "r.json", tmp_path / "page.md"
    data = ["--data", str(images), "--scale", "2"]
    assert run(["diffusion", "bicubic", *data, "--results", str(results), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["name"] == "bicubic"
    page.write_text(f"before\n{START}\n{END}\nafter\n")
    assert run(["diffusion", "--results", str(results), "--docs", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "**photos x2**: 1 images, low-resolution ones made by bicubic downscaling" in text
    assert "| `bicubic` | - | " in text
