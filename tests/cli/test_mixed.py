"""``edgesr mixed`` at the command line: budgets, figures, the file, and what export says of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgesr.bench.mixed import SCHEMA
from edgesr.bench.mixed_page import mixed_page
from edgesr.bench.results import read_document
from edgesr.cli import run
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.models.quantized import load_exportable
from edgesr.quant.mixed import assignment_of
from edgesr.upscalers import load_upscaler
from tests.export.stepwise_case import save_restless

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("mixed_*.json"))


@pytest.fixture
def arguments(tmp_path: Path, save_photo: Callable[..., Path]) -> list[str]:
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_weights(path, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    for number in range(2):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 64, seed=number)
    save_photo(tmp_path / "held" / "0.png", 48, 48, seed=7)
    photos = ["--calibration", str(tmp_path / "photos"), "--data", str(tmp_path / "held")]
    return ["mixed", str(path), *photos]


def test_an_assignment_is_measured_kept_run_and_refused_by_export(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    integers, results = tmp_path / "mixed.safetensors", tmp_path / "mixed.json"
    asked = ["--bytes-budget", "0.7", "--candidates", "wi8_ai8", "wi4_ai8", "--random", "1"]
    kept = ["--output", str(integers), "--results", str(results)]
    assert run([*arguments, *asked, *kept]) == 0
    assert "PSNR in dB" in capsys.readouterr().out
    found = read_document(results, {SCHEMA})
    rows = {(row["kind"], row["name"]): row for row in found["rows"]}
    assert [kind for kind, _ in rows] == ["uniform"] * 3 + ["mixed", "random"] * 2
    mixed = next(row for row in found["rows"] if row["kind"] == "mixed")
    assert mixed["size"] <= 0.7
    assert {*mixed["layers"].values()} == {"W8A8", "W4A8"}
    assert rows["uniform", "W8A8"]["exported"]
    assert not mixed["exported"]

    _, quantized = load_exportable(integers)
    assert quantized is not None
    labels = {
        n: f"W{s.weight_bits}A{s.activation_bits}" for n, s in assignment_of(quantized).items()
    }
    assert labels == mixed["layers"]
    assert load_upscaler(integers).name.endswith("(mixed precision (simulated))")
    file = tmp_path / "mixed.tflite"
    held = str(tmp_path / "held")
    assert run(["export", str(file), "--checkpoint", str(integers), "--data", held]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "is simulated only" in said
    assert "W4A8" in said
    assert not file.exists()

    page = tmp_path / "page.md"
    assert run(["mixed", "--results", str(results), "--docs", str(page)]) == 0
    assert page.read_text() == mixed_page([json.loads(results.read_text())])


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        ([], 2, "name a budget"),
        (["--bytes-budget", "0"], 2, "Must be > 0"),
        (["--bytes-budget", "0.6", "--output", "x.tflite"], 2, "ends in .safetensors"),
        (["--bytes-budget", "0.6", "--docs", "x.md"], 2, "drop RUN"),
        (["--bytes-budget", "0.6", "--candidates", "wi2_ai2"], 3, "want some of wi8_ai8"),
        (["--bytes-budget", "0.6", "--candidates", "wi6_ai6"], 3, "reads an image"),
        (["--bytes-budget=.6", "--bops-budget=.5", "--bops-budget=.4"], 2, "or as often"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    flags: list[str], code: int, text: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, *flags]) == code
    assert text in " ".join(capsys.readouterr().err.split())


def test_a_missing_solver_is_named_before_anything_is_read(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert run([*arguments, "--bytes-budget", "0.6"]) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "install edgesr[mixed]" in said
    assert "calibrating" not in said


def test_integers_of_a_denoiser_are_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    denoiser = str(save_restless(tmp_path / "px.safetensors"))
    asked = ["mixed", denoiser, "--bytes-budget", "0.6", "--output", "x.safetensors"]
    assert run(asked) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "are measured and not kept; drop --output" in said
    assert "calibrating" not in said


def test_without_a_network_results_become_the_page_in_the_docs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["mixed"]) == 2
    assert "--results and --docs" in capsys.readouterr().err
    assert RESULTS
    page = tmp_path / "page.md"
    flags = [part for path in RESULTS for part in ("--results", str(path))]
    assert run(["mixed", *flags, "--docs", str(page)]) == 0
    assert page.read_text() == (ROOT / "docs" / "mixed-precision.md").read_text()
