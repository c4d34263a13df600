"""The search that sized the edge family: what it writes and how it chooses."""

import json
from pathlib import Path

import pytest

from edgesr.bench.edge_search import (
    BUDGETS,
    CANDIDATES,
    MIN_RECEPTIVE_FIELD,
    Candidate,
    Found,
    choose,
    search,
)
from edgesr.errors import DataError
from edgesr.models import MODELS

STORED = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "edge_search.json"


def found(*, ratio: float, macs: int, field: int = 15, anchor: str = "added") -> Found:
    return Found(
        name=f"{macs} {anchor}",
        width=16,
        depth=(field - 5) // 2,
        anchor=anchor,
        receptive_field=field,
        params=macs,
        macs_per_pixel=macs,
        cpu_ms=1.0,
        ratio=ratio,
        ratio_quartiles=(ratio, ratio),
        psnr_to_float=50.0,
    )


def test_the_most_work_within_the_budget_is_chosen() -> None:
    listed = [found(ratio=0.3, macs=10), found(ratio=0.44, macs=20), found(ratio=0.46, macs=30)]
    assert choose(listed, 0.45) == "20 added"
    assert choose(listed, 0.2) is None


def test_a_small_receptive_field_and_a_carried_anchor_are_not_chosen() -> None:
    listed = [
        found(ratio=0.4, macs=40, field=MIN_RECEPTIVE_FIELD - 2),
        found(ratio=0.4, macs=30, anchor="carried"),
        found(ratio=0.4, macs=20),
    ]
    assert choose(listed, 0.45) == "20 added"


def test_a_search_states_every_candidate_and_what_it_depends_on() -> None:
    candidates = [Candidate(width=16, depth=1), Candidate(width=16, depth=1, anchor="carried")]
    document = search(candidates, shape=(16, 24), repeats=2)
    assert [one["name"] for one in document["candidates"]] == ["16x1 added", "16x1 carried"]
    assert document["shape"] == "16x24"
    assert document["environment"]["cpu"]
    assert document["reference"]["cpu_ms"] > 0
    first = document["candidates"][0]
    assert first["receptive_field"] == 7
    assert first["macs_per_pixel"] - first["params"] == 81 - (16 + 16 + 27)
    assert first["ratio"] > 0
    assert set(document["chosen"]) == set(BUDGETS)
    json.dumps(document)
    with pytest.raises(DataError, match="repeats = 0: want 1 or more"):
        search(candidates, shape=(16, 24), repeats=0)


def test_widths_are_multiples_of_16_and_names_are_unique() -> None:
    assert all(one.width % 16 == 0 for one in CANDIDATES)
    assert len({one.name for one in CANDIDATES}) == len(CANDIDATES)


def test_the_family_is_what_the_stored_search_chose() -> None:
    document = json.loads(STORED.read_text())
    by_name = {one["name"]: one for one in document["candidates"]}
    listed = [Found(**one) for one in document["candidates"]]
    for name, budget in document["budgets"].items():
        chosen = document["chosen"][name]
        assert choose(listed, budget) == chosen
        assert by_name[chosen]["params"] == MODELS[name].params[3]
        assert by_name[chosen]["receptive_field"] == MODELS[name].receptive_field


def test_the_decision_page_states_every_measured_ratio() -> None:
    document = json.loads(STORED.read_text())
    folder = STORED.parents[2] / "docs" / "decisions"
    page = (folder / "0014-the-edge-family.md").read_text()
    for one in document["candidates"]:
        assert one["name"] in page
        assert f"{one['params']:,}" in page
        assert f"{one['ratio']:.3f}" in page
