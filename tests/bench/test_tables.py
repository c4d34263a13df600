"""Suites, baselines and rules: each file loads and says where it is from, bad ones are refused."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgesr.bench import datafiles
from edgesr.bench.baselines import MEASURES, baseline_names, load_baselines, unknown_facts
from edgesr.bench.rules import load_rule, rule_names
from edgesr.bench.suites import load_suite, not_the_same, open_suite, suite_names
from edgesr.errors import ConfigError, DatasetError

CHALLENGES = {"mai21", "mai22", "ntire26-mobile", *(f"ntire{year}" for year in range(22, 27))}


@pytest.mark.parametrize("name", suite_names())
def test_a_suite_names_its_source_its_images_and_tables_that_exist(name: str) -> None:
    suite = load_suite(name)
    assert suite.source
    assert suite.get
    assert set(suite.baselines) <= set(baseline_names())
    assert suite.rules is None or suite.rules in rule_names()


@pytest.mark.parametrize("name", baseline_names())
def test_every_published_row_has_a_source_and_its_evidence(name: str) -> None:
    rows = load_baselines(name)
    assert rows
    assert len({(row.name, row.device, row.dataset, row.precision) for row in rows}) == len(rows)
    for row in rows:
        assert row.source
        assert row.evidence in {"verified", "recalled"}
        assert any(row.value(measure) is not None for measure in MEASURES)


@pytest.mark.parametrize("name", rule_names())
def test_a_rule_names_a_suite_and_a_table_that_exist(name: str) -> None:
    rule = load_rule(name)
    assert rule.suite in suite_names()
    assert load_baselines(rule.baselines)


def test_all_challenges_are_there() -> None:
    assert set(rule_names()) == CHALLENGES
    assert set(suite_names()) >= {*CHALLENGES, "aihub-int8", "etds-phones"}


def test_what_is_recalled_is_marked_so_and_what_is_unknown_is_said() -> None:
    rows = {row.name: row for row in load_baselines("mai22")}
    assert {row.evidence for row in rows.values()} == {"recalled"}
    assert rows["Z6"].evidence_of("runtime_ms") == "verified"
    assert rows["TCLResearchEurope"].evidence_of("runtime_ms") == "recalled"
    assert rows["Antins_cv"].runtime_ms is None
    assert "could not be verified" in unknown_facts("mai21")[0]
    assert {row.evidence for row in load_baselines("ntire26")} == {"verified"}


def test_published_numbers_reach_the_reader_unchanged() -> None:
    hub = {(row.name, row.device): row.runtime_ms for row in load_baselines("aihub-int8")}
    assert hub["XLSR", "Galaxy S24"] in {0.252, 1.456}
    assert hub["QuickSRNet-S", "Snapdragon 8 Elite Gen 5"] == 0.162
    phones = {row.name: row for row in load_baselines("etds-phones") if "8100, NNAPI" in row.device}
    assert (phones["ETDS-T"].runtime_ms, phones["ABPN-M4C28"].runtime_ms) == (8.64, 20.5)
    sets = {(row.name, row.dataset): row for row in load_baselines("classic-x3")}
    assert sets["bicubic", "Set5"].psnr_y == 30.405


@pytest.mark.parametrize(
    ("load", "name", "message"),
    [
        (load_suite, "mai2", "suite 'mai2' is unknown; did you mean mai2"),
        (load_baselines, "nothing-like-it", "baseline 'nothing-like-it' is unknown; choose one of"),
        (load_rule, "ntire27", "rule 'ntire27' is unknown; did you mean ntire2"),
        (load_rule, "../suites/mai22", "is unknown"),
    ],
)
def test_an_unknown_name_is_refused(load: Callable[[str], object], name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(name)


@dataclass(frozen=True, kw_only=True)
class Sample:
    name: str
    count: int = 1
    sides: tuple[int, int] = (1, 1)
    weight: float | None = None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "cuont": 2}, "unknown key cuont; did you mean count"),
        ({"count": 2}, "name is missing"),
        ({"name": "a", "count": 2.5}, "want a whole number"),
        ({"name": "a", "count": True}, "want a whole number"),
        ({"name": "a", "sides": [1]}, "want 2 values"),
        ({"name": "a", "weight": float("nan")}, "want a finite number"),
        ({"name": "a", "weight": "1"}, "want a finite number"),
        (["name"], "want a table"),
    ],
)
def test_a_table_with_a_mistake_names_its_place(values: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"here.*{message}"):
        datafiles.decode(Sample, values, "here")


def test_a_table_becomes_its_dataclass() -> None:
    values = {"name": "a", "sides": [2, 3], "weight": 1}
    assert datafiles.decode(Sample, values, "here") == Sample(name="a", sides=(2, 3), weight=1.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "= 1", "is no TOML"),
        ("a.json", "{", "is no JSON"),
        ("a.json", "[1]", "holds list, want a table"),
        ("a.toml", b"\xff\xfe", "is no TOML"),
    ],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message):
        datafiles.read_table(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        datafiles.read_table(tmp_path / "missing.toml")


def test_a_suite_without_images_says_how_to_get_them(
    tmp_path: Path, save_photo: Callable[..., Path]
) -> None:
    suite = load_suite("mai22")
    with pytest.raises(DatasetError, match="edgesr data download div2k_valid_hr"):
        open_suite(suite, tmp_path / "missing")
    save_photo(tmp_path / "set" / "a.png")
    dataset = open_suite(suite, tmp_path / "set")
    assert dataset.scale == 3
    assert not_the_same(suite, dataset) == "1 images, but suite mai22 stands for 100"
