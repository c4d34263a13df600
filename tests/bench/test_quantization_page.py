"""The page on quantization is made from the results files that are stored."""

import json
from pathlib import Path

import pytest

from edgesr.bench.quantization import SCHEMA
from edgesr.bench.quantization_page import quantization_page
from edgesr.bench.results import read_document
from edgesr.cli import run

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("quantization_*.json"))


def test_the_page_in_the_docs_is_the_one_of_the_results() -> None:
    assert RESULTS
    page = quantization_page([read_document(path, {SCHEMA}) for path in RESULTS])
    assert (ROOT / "docs" / "quantization.md").read_text() == page


def test_every_row_below_8_bits_says_that_it_is_simulated() -> None:
    for path in RESULTS:
        document = read_document(path, {SCHEMA})
        lines = quantization_page([document]).splitlines()
        for row in document["rows"]:
            narrow = row["scheme"] != "wi8_ai8"
            shown = next(line for line in lines if line.startswith(f"| {row['name']}"))
            assert ("*(simulated)*" in shown) == narrow == row["simulated"]


def test_results_of_another_kind_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, page = tmp_path / "other.json", tmp_path / "page.md"
    other.write_text(json.dumps({"schema": "edgesr/eval/1"}))
    for path, message in ((other, "or edgesr/quantization/1"), (page, "cannot be read")):
        assert run(["quantize", "--results", str(path), "--docs", str(page)]) == 3
        assert message in capsys.readouterr().err
    assert not page.exists()


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    flags = [part for path in RESULTS for part in ("--results", str(path))]
    assert run(["quantize", *flags, "--docs", str(page)]) == 0
    assert page.read_text() == (ROOT / "docs" / "quantization.md").read_text()
    assert run(["quantize"]) == 2
    assert "--results and --docs" in capsys.readouterr().err
    assert run(["quantize", "ncnet_x3", "--docs", str(page)]) == 2
    assert "drop RUN" in capsys.readouterr().err
