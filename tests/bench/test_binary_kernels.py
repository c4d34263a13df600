"""The page of packed convolutions says what was measured."""

from pathlib import Path

import pytest

from edgesr.bench import binary_threads
from edgesr.bench.binary_kernels import DEFAULT_OUTPUT, SCHEMA, layer_works, main
from edgesr.bench.binary_page import MARKS, binary_section
from edgesr.bench.binary_threads import BLOCK, FLOAT, measure_threads
from edgesr.bench.results import read_document
from edgesr.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / DEFAULT_OUTPUT


def test_the_page_is_made_of_the_stored_results(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = (ROOT / "docs" / "binary.md").read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    main(output=STORED, docs=page)
    assert page.read_text(encoding="utf-8") == text


def test_the_reference_of_a_ratio_is_once_as_fast_as_itself() -> None:
    document = read_document(STORED, {SCHEMA})
    for layer in document["parts"]["layers"]["rows"]:
        rows = {row["name"]: row for row in layer["timings"]}
        assert rows[FLOAT]["times_float32"] == [1.0, 1.0, 1.0]
    assert "64 to 64 channels" in binary_section(document)


def test_contenders_run_on_small_images() -> None:
    works = layer_works(16, 6)
    for work in works.values():
        work()
    assert FLOAT in works


def test_threads_are_measured_by_turns_and_their_load_is_said() -> None:
    found = measure_threads([(16, 8)], (1, 2), 8, loaded=True)
    rows = {(row["name"], row["threads"]): row for row in found["rows"]}
    assert set(rows) == {(name, count) for name in (FLOAT, BLOCK) for count in (1, 2)}
    for row in rows.values():
        assert len(row["wall_ms"]) == 10  # whole rounds of five turns
        assert 0 < row["min_ms"] <= row["median_ms"]
    assert rows[FLOAT, 1]["gain"] == [1.0, 1.0, 1.0]
    about = {"cores": 2, "load_1min": 5.0}
    for others, is_flagged in ((0.1, False), (1.4, True), (None, True)):
        part = {**found, "environment": about, "other_cores": others}
        assert ("no core each" in binary_section({"parts": {"threads": part}})) == is_flagged


def test_threads_are_not_compared_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_threads: int) -> float:
        raise DataError("busy")

    monkeypatch.setattr(binary_threads, "refuse_load", busy)
    with pytest.raises(DataError, match="busy"):
        measure_threads([(16, 8)], (1, 2), 8, loaded=False)


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One bit\n", encoding="utf-8")
    with pytest.raises(DataError, match=MARKS[1]):
        main(output=STORED, docs=page)
