"""The page of trained networks: every figure in it stands in a card or a results file."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgesr.bench.baselines import load_baselines
from edgesr.bench.zoo_facts import (
    file_speeds,
    gmacs,
    graph_speeds,
    network_facts,
    read_results,
    trained_facts,
)
from edgesr.bench.zoo_page import ablation_table, published_table, zoo_page
from edgesr.cli import run
from edgesr.errors import DataError
from edgesr.zoo import DEFAULT, ZOO

ROOT = Path(__file__).resolve().parents[2]


def bench(*timings: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "edgesr/bench/1",
        "what": "inference",
        "shape": "8x8",
        "timings": [{"runtime": "xnnpack", "wall_ms": one["cpu_ms"], **one} for one in timings],
    }


def test_a_ratio_is_the_median_of_pairs_of_one_run_with_equal_threads() -> None:
    (digest,) = [
        about["sha256"]
        for name, about in ZOO[DEFAULT].read_card()["files"].items()
        if name.endswith(".tflite")
    ]
    own = {"files": {"net_int8.tflite": {"sha256": "a"}, "net.safetensors": {"sha256": "b"}}}
    reference = {"name": "ncnet", "sha256": digest, "threads": 1, "cpu_ms": [10.0, 20.0, 10.0]}
    fast = {"name": "net", "sha256": "a", "threads": 1, "cpu_ms": [5.0, 12.0, 4.0]}
    two = {"name": "net 2", "sha256": "a", "threads": 2, "cpu_ms": [1.0, 1.0, 1.0]}
    (found,) = file_speeds(own, [bench(reference, fast, two)])
    assert (found["ratio"], found["threads"], found["shape"]) == (0.5, 1, "8x8")
    assert (found["low"], found["high"]) == (pytest.approx(0.45), pytest.approx(0.55))
    assert file_speeds(own, [bench(fast), bench(reference)]) == []
    with pytest.raises(DataError, match="timings are damaged"):
        file_speeds(own, [bench({"name": "x", "sha256": "a", "threads": 1, "cpu_ms": "?"})])


def test_gmacs_are_the_published_count() -> None:
    assert gmacs("ncnet", 3) == pytest.approx(12.014, abs=5e-4)  # 11.996 and the anchor's 0.0187
    assert gmacs("resshift_px_s", 4) is None


def test_graph_speeds_are_those_of_the_search() -> None:
    document = json.loads((ROOT / "benchmarks/results/edge_search.json").read_text())
    speeds = graph_speeds([document])
    assert set(speeds) == {"ncnet", "edge_s", "edge_m", "edge_l"}
    chosen = {one["name"]: one["ratio"] for one in document["candidates"]}
    assert speeds["edge_m"]["ratio"] == chosen[document["chosen"]["edge_m"]]
    with pytest.raises(DataError, match="edge_search"):
        graph_speeds([{**document, "candidates": []}])


def ablation(*results: tuple[str, int, float | None], demo: bool = True) -> dict[str, Any]:
    return {
        "settings": {
            "model": "edge_s",
            "scale": 3,
            "steps": 30,
            "batch_size": 2,
            "patch_size": 16,
        },
        "data": {"demo": demo, "description": "some", "train": 3, "held_out": 1},
        "teacher": None,
        "environment": {"cpu": "x", "gpu": None, "packages": {"torch": "2"}, "commit": "c" * 40},
        "results": [
            {"row": row, "seed": seed, "psnr": psnr, "seconds": 2.0, "lr_pixels": 1_500_000}
            for row, seed, psnr in results
        ],
    }


def test_a_gain_is_the_mean_difference_to_the_base_of_the_same_seed() -> None:
    rows = [("all off", 0, 30.0), ("all off", 1, 31.0), ("new", 0, 30.5), ("new", 1, 31.1)]
    lines = ablation_table(ablation(*rows)).splitlines()
    assert lines[2] == "| all off | 30.500 |  | 2 | 2 | 1.5 |"
    assert lines[3] == "| new | 30.800 | +0.300 (+0.100 to +0.500) | 2 | 2 | 1.5 |"
    stopped = ablation_table(ablation(*rows[:3])).splitlines()
    assert stopped[3] == "| new | 30.500 | +0.500 | 1 | 2 | 1.5 |"


def test_runs_that_diverged_are_counted_and_not_averaged() -> None:
    rows = [("all off", 0, None), ("all off", 1, 31.0), ("new", 0, 30.5), ("new", 1, 31.1)]
    lines = ablation_table(ablation(*rows, ("wild", 0, None))).splitlines()
    assert lines[2] == "| all off | 31.000 |  | 1, 1 diverged | 2 | 1.5 |"
    assert lines[3] == "| new | 30.800 | +0.100 | 2 | 2 | 1.5 |"
    assert lines[4] == "| wild | - | - | 0, 1 diverged | 2 | 1.5 |"


def test_an_ablation_on_the_demo_photographs_says_that_it_proves_nothing() -> None:
    page = zoo_page([], [], [ablation(("all off", 0, 30.0))])
    assert "A smoke run on the demo photographs" in page
    real = zoo_page([], [], [ablation(("all off", 0, 30.0), demo=False)])
    assert "smoke" not in real


def test_the_page_in_the_docs_is_that_of_the_results(tmp_path: Path) -> None:
    assert run(["models", "--docs", str(tmp_path / "zoo.md")]) == 0
    assert (tmp_path / "zoo.md").read_text() == (ROOT / "docs" / "zoo.md").read_text()


def test_figures_of_the_page_are_those_of_the_card() -> None:
    documents = read_results()
    facts = [trained_facts(entry, documents) for entry in ZOO.values()]
    page = zoo_page(facts, network_facts(documents), [])
    card = ZOO[DEFAULT].read_card()
    int8 = card["evaluations"]["Set5"]["mean"]["ntire-esr"]["psnr"]
    real = card["float_evaluations"]["Set5"]["mean"]["ntire-esr"]["psnr"]
    (line,) = [one for one in page.splitlines() if one.startswith(f"| `{DEFAULT}`")]
    assert f"{real:.3f} / {int8:.3f}" in line
    assert "52,279" in line


def test_shipped_networks_stand_among_published_files_by_their_int8_psnr() -> None:
    facts = [trained_facts(entry) for entry in ZOO.values()]
    lines = published_table(facts, load_baselines("classic-x3"))
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ") and "dB" not in line]
    named = {row[0].strip(): row[1:] for row in rows}
    assert "ABPN int8 QAT" in named
    assert "ABPN fp32 (checkpoint in repo)" not in named
    psnr = next(one for one in facts if one["name"] == "ncnet_x3")["psnr"]["Set5 ntire-esr"]
    assert float(named["**`ncnet_x3`**"][0]) == pytest.approx(psnr, abs=5e-4)
    assert named["NCNet int8 model_none (uint8 IO)"][2].strip() == "+0.000 / +0.000"
    assert float(named["**`ncnet_x3`**"][2].split("/")[0]) == pytest.approx(psnr - 31.573, abs=6e-4)
    assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)
    assert published_table(facts, []) == []
