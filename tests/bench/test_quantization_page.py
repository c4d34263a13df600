"""The page on quantization is made from the results files that are stored."""

import json
from pathlib import Path

import pytest

from edgesr.bench.quantization_page import quantization_page, read_results
from edgesr.cli import run
from edgesr.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("quantization_*.json"))


def test_the_page_in_the_docs_is_the_one_of_the_results() -> None:
    assert RESULTS
    page = quantization_page([read_results(path) for path in RESULTS])
    assert (ROOT / "docs" / "quantization.md").read_text() == page


def test_every_row_below_8_bits_says_that_it_is_simulated() -> None:
    for path in RESULTS:
        document = read_results(path)
        lines = quantization_page([document]).splitlines()
        for row in document["rows"]:
            narrow = row["scheme"] != "wi8_ai8"
            shown = next(line for line in lines if line.startswith(f"| {row['name']}"))
            assert ("*(simulated)*" in shown) == narrow == row["simulated"]


def test_results_of_another_kind_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"schema": "edgesr/eval/1"}))
    with pytest.raises(DataError, match="edgesr quantize --compare"):
        read_results(other)
    with pytest.raises(DataError, match="cannot be read"):
        read_results(tmp_path / "none.json")


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    flags = [part for path in RESULTS for part in ("--results", str(path))]
    assert run(["quantize", *flags, "--docs", str(page)]) == 0
    assert page.read_text() == (ROOT / "docs" / "quantization.md").read_text()
    assert run(["quantize"]) == 2
    assert "--results and --docs" in capsys.readouterr().err
    assert run(["quantize", "ncnet_x3", "--docs", str(page)]) == 2
    assert "drop RUN" in capsys.readouterr().err
