from pathlib import Path

import pytest

from edgesr.android.chips import chip_facts, makers
from edgesr.android.facts import parse_inspection
from edgesr.errors import ConfigError


@pytest.mark.parametrize(
    ("soc", "platform", "npu", "generation"),
    [
        ("SM8650", "pineapple", "Hexagon", "v75"),
        ("SM8650-AC", None, "Hexagon", "v75"),
        (None, "lahaina", "Hexagon", "v68"),
        ("MT6989Z/CZA", "mt6989", "APU", None),
        (None, "mt6989", "APU", None),
        ("Tensor G3", "zuma", "Edge TPU", None),
    ],
)
def test_a_known_chip_tells_its_npu_and_how_to_reach_it(
    soc: str | None, platform: str | None, npu: str, generation: str | None
) -> None:
    found = chip_facts(soc, platform)
    assert found is not None
    assert npu in found["npu"]
    assert found.get("hexagon") == generation
    assert "npu" in found["backends"]


@pytest.mark.parametrize(
    ("soc", "platform"),
    [("FAKE1", "fake"), ("SM86501", None), (None, None), ("SM7150", "lahaina"), ("Tensor", None)],
)
def test_another_chip_is_not_guessed(soc: str | None, platform: str | None) -> None:
    assert chip_facts(soc, platform) is None


def test_every_fact_of_a_chip_has_a_source() -> None:
    assert len(makers()) >= 3
    for maker in makers():
        names = [one.model for one in maker.soc]
        assert len(set(names)) == len(names) > 0
        told = {key for one in maker.soc for key, value in vars(one).items() if value}
        assert told - {"model"} <= set(maker.sources)
        assert all(len(source) > 10 for source in maker.sources.values())


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.toml").write_text("maker = 3")
    monkeypatch.setattr("edgesr.android.chips.data_dir", lambda _: tmp_path)
    makers.cache_clear()
    with pytest.raises(ConfigError, match=r"x\.toml"):
        makers()
    makers.cache_clear()


def test_the_chip_is_read_from_the_phone() -> None:
    text = "@@section props\n[ro.soc.manufacturer]: [QTI]\n[ro.soc.model]: [SM8550]\n"
    read = parse_inspection(text)
    assert read.facts.soc == "QTI SM8550"
    assert read.soc_model == "SM8550"
