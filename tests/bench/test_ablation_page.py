"""Ablations of denoisers: means and standard errors over seeds."""

import math
from pathlib import Path
from typing import Any

import pytest

from edgesr.bench.ablation_page import LOSS_KEY, MARKS, ablations_section, denoiser_table, table_of
from edgesr.cli import run
from edgesr.files import write_json
from edgesr.train import validation_loss

ROOT = Path(__file__).resolve().parents[2]


def result(
    row: str, seed: int, psnr: float | None, loss: float = 0.0, **more: Any
) -> dict[str, Any]:
    about = {"row": row, "seed": seed, "psnr": psnr, "seconds": 3.0, "lr_pixels": 1, "changes": {}}
    return {**about, **({} if psnr is None else {LOSS_KEY: loss}), **more}


def document(*results: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "edgesr/ablation/1",
        "settings": {
            "model": "resshift_px_s_1bit",
            "scale": 4,
            "steps": 600,
            "batch_size": 8,
            "patch_size": 32,
            "loss": "l2",
            "diffusion_path": "resshift",
            "diffusion_steps": 4,
        },
        "data": {"demo": False, "description": "some", "train": 3, "held_out": 1},
        "teacher": {"title": "resshift_px_s x4", "sha256": "a" * 64},
        "environment": {"cpu": "x", "gpu": None, "packages": {"torch": "2"}},
        "rows": ["all off", "new", "never"],
        "results": list(results),
    }


def test_differences_are_paired_by_seed_and_have_their_own_error() -> None:
    table = denoiser_table(
        document(
            result("all off", 0, 30.0, 100.0),
            result("all off", 1, 31.0, 200.0),
            result("all off", 2, 32.0, 300.0),
            result("new", 0, 30.1, 101.0),
            result("new", 1, 31.2, 204.0),
            result("new", 2, 32.3, 309.0, changes={"steps": 450}),
        )
    )
    error = 0.1 / math.sqrt(3)
    assert table.splitlines()[2:] == [
        "| all off | 31.000 ± 0.577 |  | 200.000 ± 57.735 |  | 3 | 600 | 3 |",
        (
            f"| new | 31.200 ± 0.635 | +0.200 ± {error:.3f} | 204.667 ± 60.045 | "
            f"+2.00 ± {1 / math.sqrt(3):.2f} | 3 | 600 | 3 |"
        ),
    ]


def test_one_seed_has_no_error_and_a_run_that_diverged_no_figures() -> None:
    lines = table_of(
        document(
            result("all off", 0, 30.0, 100.0),
            result("all off", 1, None, diverged="the loss is nan"),
            result("new", 0, 30.5, 90.0),
            result("new", 1, 30.5, 90.0),
            result("lost", 0, None, diverged="the loss is nan"),
        )
    ).splitlines()
    assert lines[2] == "| all off | 30.000 |  | 100.000 |  | 1, 1 diverged | 600 | 3 |"
    assert lines[3].startswith("| new | 30.500 ± 0.000 | +0.500 | 90.000 ± 0.000 | -10.00 | 2 |")
    assert lines[4] == "| lost | - | - | - | - | 0, 1 diverged | 600 | 3 |"


def test_a_denoiser_whose_runs_all_diverged_has_its_own_table() -> None:
    lines = table_of(document(result("all off", 0, None, diverged="the loss is nan"))).splitlines()
    assert lines[2] == "| all off | - |  | - |  | 0, 1 diverged | 600 | 3 |"


def test_the_section_says_what_was_trained_and_what_was_not_run() -> None:
    section = ablations_section([document(result("all off", 0, 30.0, 1.0))])
    assert "taught by resshift_px_s x4 (aaaaaaaaaaaa)" in section
    assert "Stopped early; not run: new, never." in section
    assert ablations_section([]) == "Nothing was measured yet."
    assert LOSS_KEY == validation_loss.LOSS_KEY


def test_the_command_writes_the_section_between_its_marks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, page = tmp_path / "a.json", tmp_path / "page.md"
    write_json(results, document(result("all off", 0, 30.0, 1.0)))
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    assert run(["ablate", "--docs", str(page), "--results", str(results)]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{MARKS[0]}\n\n**PSNR**")
    assert text.endswith(f"{MARKS[1]}\nafter\n")
    assert "old" not in text
    assert run(["ablate"]) == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "results"),
    [("binary", "ablation_1bit_*.json"), ("diffusion", "ablation_dream_*.json")],
)
def test_the_pages_in_the_docs_are_those_of_the_results(
    tmp_path: Path, page: str, results: str
) -> None:
    original = (ROOT / "docs" / f"{page}.md").read_text()
    copy = tmp_path / "page.md"
    copy.write_text(original)
    files = sorted((ROOT / "benchmarks" / "results").glob(results))
    assert run(["ablate", "--docs", str(copy), *(f"--results={one}" for one in files)]) == 0
    assert copy.read_text() == original
