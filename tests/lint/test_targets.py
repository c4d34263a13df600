import tomllib
from pathlib import Path

import pytest

from edgesr.errors import ConfigError, DataError
from edgesr.lint.targets import load_target, read_target, target_names
from edgesr.resources import data_dir

FOLDER = data_dir("export") / "targets"
PROTOTYPE = (
    Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "android"
) / "nnapi_ops.toml"
NAMES = ["cpu", "ethos-u", "hexagon", "litert-gpu", "nnapi", "xnnpack"]


def test_the_targets_that_ship() -> None:
    assert target_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_has_a_source_and_every_source_a_fact(name: str) -> None:
    target = load_target(name)
    used = {key for rule in target.ops.values() for key in rule.sources}
    assert used == set(target.sources)
    assert all(target.cite(rule) for rule in target.ops.values())


def test_the_nnapi_table_agrees_with_the_one_that_was_compared_with_aosp() -> None:
    if not PROTOTYPE.is_file():
        pytest.skip("needs the compared table, which is not part of the repository")
    compared = tomllib.loads(PROTOTYPE.read_text())
    target = load_target("nnapi")
    assert set(target.ops) >= set(compared["ops"])
    for op, facts in compared["ops"].items():
        rule = target.ops[op]
        if op == "SPLIT_V":  # the delegate asks for more than the header: level 4
            continue
        assert rule.level == max(1, facts["level"]), op
        assert rule.max_version == facts["delegate_max_version"], op
        if rule.dtypes and op not in {"TILE", "CAST"}:
            levels = [int(one.partition("@")[2] or 1) for one in rule.dtypes if "INT8" in one[:4]]
            assert levels == [one for one in [facts["delegate_int8_level"]] if one], op


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nnap", "did you mean nnapi"),
        ("qualcomm", "choose one of cpu, ethos-u"),
        ("nnapi-9", "feature level '9' is unknown, want one of 1, 2"),
        ("cpu-2", "it has no levels"),
    ],
)
def test_an_unknown_target_is_answered_with_the_known_ones(name: str, wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        load_target(name)


@pytest.mark.parametrize(("api", "level"), [(21, 1), (27, 1), (29, 3), (32, 5), (34, 8), (36, 8)])
def test_the_api_level_of_a_phone_says_the_feature_level(api: int, level: int) -> None:
    assert load_target("nnapi").on_android(api).level == level
    assert load_target("cpu").on_android(api) == load_target("cpu")


def test_a_level_is_taken_from_the_name() -> None:
    assert load_target("nnapi-7").level == 7
    assert load_target("nnapi").level == 4


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('schema = "edgesr/targets/1"', 'schema = "other/1"', "want the line schema"),
        ("max_rank = 4", "max_rank = ", "is no TOML"),
        ("max_rank = 4", 'max_rank = "four"', "max_rank = 'four': want a whole number"),
        ("max_rank = 4", "max_rnk = 4", "unknown key max_rnk; did you mean max_rank"),
        ('sources = ["vela"]', 'sources = ["arm"]', "source 'arm' is not in sources"),
        ('sources = ["vela"]', "sources = []", "say where the facts are from"),
        ('"INT8"', '"INT9"', "type 'INT9' is unknown"),
        ("[sources]", "[[sources]]", "sources: want texts by name"),
    ],
)
def test_a_damaged_target_names_file_and_place(
    old: str, new: str, wanted: str, tmp_path: Path
) -> None:
    text = (FOLDER / "ethos-u.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=wanted) as caught:
        load_target(str(path))
    assert str(path) in str(caught.value)


def test_a_target_without_operators_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text('schema = "edgesr/targets/1"\n')
    with pytest.raises(ConfigError, match="want a table an operator"):
        read_target(path)


def test_a_target_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = (FOLDER / "ethos-u.toml").read_text().replace('name = "ethos-u"', 'name = "mine"', 1)
    path.write_text(text)
    assert load_target(str(path)).name == "mine"
