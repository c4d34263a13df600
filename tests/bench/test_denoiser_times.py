"""The table of step times: processor time, cost a pixel, intervals of paired repetitions."""

from pathlib import Path
from typing import Any

import pytest

from edgesr.bench import denoiser_times
from edgesr.bench.denoiser_times import times_section
from edgesr.bench.diffusion_page import with_section
from edgesr.bench.results import bench_document, read_document
from edgesr.bench.timing import Session, Timing
from edgesr.cli import run
from edgesr.errors import DataError
from edgesr.files import write_json

ROOT = Path(__file__).parents[2]


def document(repeats: int = 9, *, what: str = denoiser_times.WHAT) -> dict[str, Any]:
    own = [50.0 + number % 3 for number in range(repeats)]
    timings = (
        Timing(name="m x4", wall_ms=tuple(9 * value for value in own), cpu_ms=tuple(own)),
        Timing(name="big x4", wall_ms=tuple(own), cpu_ms=tuple(60 * value for value in own)),
    )
    made = bench_document(Session(timings=timings), what=what, shape="64x64", threads=[1])
    for entry, macs in zip(made["timings"], (2.5e9, 170e9), strict=True):
        entry["cost"] = {"params": 1, "macs": macs, "pixels": 4096}
    return made


def test_rows_have_processor_time_cost_a_pixel_and_an_interval() -> None:
    lines = times_section(document(), "times.json").splitlines()
    assert lines[2] == "| `m x4` | 4096 | 2.50 | 51.0 | 50.0 | 12.45 | 1 |"
    assert lines[3] == "| `big x4` | 4096 | 170.00 | 3060.0 | 3000.0 | 747.07 | 60 (60-60) |"
    assert "9 repetitions in turns, 1 thread" in lines[-1]


def test_another_document_or_too_few_repetitions_are_refused() -> None:
    with pytest.raises(DataError, match=r"times\.json: is no result of edgesr bench --denoisers"):
        times_section(document(what="inference"), "times.json")
    with pytest.raises(DataError, match="5 repetitions, want 8 or more"):
        times_section(document(5), "times.json")
    older = document()
    del older["timings"][1]["cost"]["pixels"]
    with pytest.raises(DataError, match=r"times\.json: its costs are not whole .*measure again"):
        times_section(older, "times.json")


def test_the_command_writes_times_between_their_marks(tmp_path: Path) -> None:
    results, page = tmp_path / "times.json", tmp_path / "page.md"
    write_json(results, document())
    page.write_text(f"before\n{denoiser_times.START}\noutdated\n{denoiser_times.END}\nafter\n")
    assert run(["diffusion", "--results", str(results), "--docs", str(page)]) == 0
    text = page.read_text()
    assert "`big x4`" in text
    assert "outdated" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_two_files_of_times_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.json", "b.json"):
        write_json(tmp_path / name, document())
    both = [word for name in ("a.json", "b.json") for word in ("--results", str(tmp_path / name))]
    assert run(["diffusion", *both, "--docs", str(tmp_path / "page.md")]) == 2
    assert "the page has one table of times" in capsys.readouterr().err


def test_the_times_in_the_docs_are_those_of_the_results() -> None:
    path = ROOT / "benchmarks" / "results" / "denoiser_steps.json"
    section = times_section(read_document(path), str(path))
    marks = denoiser_times.START, denoiser_times.END
    page = (ROOT / "docs" / "diffusion.md").read_text()
    assert with_section(page, section, "docs/diffusion.md", marks=marks) == page
