"""``edgesr models`` lists what there is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgesr.cli import run
from edgesr.models import MODELS
from edgesr.zoo import ZOO, ZooEntry

CARD = {
    "model": "ncnet",
    "evaluations": {"Set5": {"mean": {"classic-y": {"psnr": 33.12345, "ssim": 0.9}}}},
    "files": {"ncnet_x3_int8.tflite": {"sha256": "5" * 64}},
}


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read_card(_: ZooEntry) -> dict[str, Any]:
        return CARD

    monkeypatch.setattr(ZooEntry, "read_card", read_card)
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path))


def test_json_lists_every_network_and_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    listed = {network["name"]: network for network in document["networks"]}
    assert listed.keys() == MODELS.keys()
    assert listed["ncnet"]["params"]["3"] == 52_279
    assert listed["ncnet"]["gmacs_1080p"]["3"] == pytest.approx(12.014, abs=5e-4)
    assert listed["ncnet"]["cpu_ratio_x3"]["ratio"] == 1
    assert listed["xlsr"]["cpu_ratio_x3"] is None
    assert [entry["name"] for entry in document["shipped"]] == list(ZOO)
    first = next(entry for entry in document["shipped"] if entry["name"] == "ncnet_x3")
    assert first["psnr"] == {"Set5 classic-y": 33.123}
    assert (first["params"], first["origin"], first["cpu_ratio"]) == (52_279, "shipped", [])
    assert document["pulled"] == []


def test_the_tables_name_parameters_reach_and_psnr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    printed = capsys.readouterr().out
    for text in ("ncnet", "abpn", "52,279", "42,539", "15", "2208.11609", "33.123", "12.01"):
        assert text in printed


def test_a_page_and_a_document_are_not_asked_for_at_once(tmp_path: Path) -> None:
    assert run(["models", "--json", "--docs", str(tmp_path / "zoo.md")]) == 2


def test_listing_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from edgesr.cli import run; "
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", f"{code}sys.exit(run(['models', '--json']))"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
