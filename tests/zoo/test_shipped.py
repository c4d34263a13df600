"""Every network that ships is whole: card, checksums, certificate and golden vectors agree."""

import pytest

from edgesr.export.certificate import replay
from edgesr.files import sha256_file
from edgesr.zoo import ZOO, ZooEntry

NETWORKS = [entry for entry in ZOO.values() if not entry.is_denoiser]
KILO = 1000


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_golden_vectors_come_out_of_the_shipped_file(entry: ZooEntry) -> None:
    certificate = entry.tflite.with_suffix(".certificate.json")
    found = replay(certificate, families=["builtin"])
    assert found.model == entry.intact(entry.tflite)
    assert found.vectors > 0


@pytest.mark.parametrize("entry", ZOO.values(), ids=lambda entry: entry.name)
def test_a_card_has_the_checksum_of_every_file(entry: ZooEntry) -> None:
    for name, about in entry.read_card()["files"].items():
        path = entry.folder / name
        assert about == {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    assert {path.name for path in entry.files} <= entry.read_card()["files"].keys()
    assert entry.card.with_suffix(".md").is_file()


def test_what_ships_is_small() -> None:
    for entry in NETWORKS:
        for path in entry.files:
            assert path.stat().st_size <= 500 * KILO
    files = [path for entry in ZOO.values() for path in entry.files if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 6000 * KILO
    folder = NETWORKS[0].folder
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) <= 7000 * KILO
