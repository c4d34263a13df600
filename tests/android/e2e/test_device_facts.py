"""android_bench/devices: every fact has a source."""

import tomllib
from pathlib import Path

import pytest

DEVICES = Path(__file__).resolve().parents[3] / "android_bench" / "devices"


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_fact_of_a_chip_has_a_source(path: Path) -> None:
    facts = tomllib.loads(path.read_text())
    models = [one["model"] for one in facts["soc"]]
    assert len(set(models)) == len(models) > 0
    told = {key for one in facts["soc"] for key in one} - {"model"}
    assert told - set(facts["sources"]) == set()
    assert all(len(source) > 10 for source in facts["sources"].values())


def test_there_are_devices() -> None:
    assert len(list(DEVICES.glob("*.toml"))) >= 3
