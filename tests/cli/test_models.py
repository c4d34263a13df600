"""``edgesr models`` lists what there is."""

import json
from typing import Any

import pytest

from edgesr.cli import run
from edgesr.models import MODELS
from edgesr.zoo import ZOO, ZooEntry

CARD = {"evaluations": {"Set5": {"mean": {"classic-y": {"psnr": 33.12345, "ssim": 0.9}}}}}


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_card(_: ZooEntry) -> dict[str, Any]:
        return CARD

    monkeypatch.setattr(ZooEntry, "read_card", read_card)


def test_json_lists_every_network_and_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    listed = {network["name"]: network for network in document["networks"]}
    assert listed.keys() == MODELS.keys()
    assert listed["ncnet"]["params"]["3"] == 52_279
    assert [entry["name"] for entry in document["shipped"]] == list(ZOO)
    assert document["shipped"][0]["psnr"] == {"Set5 classic-y": 33.123}


def test_the_tables_name_parameters_reach_and_psnr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    printed = capsys.readouterr().out
    for text in ("ncnet", "abpn", "52,279", "42,539", "15", "2208.11609", "33.123"):
        assert text in printed
