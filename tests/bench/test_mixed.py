"""Mixed precision beside uniform schemes: budgets, means of rows, and the page."""

from typing import Any

import pytest

from edgesr.bench.mixed import budgets_of, mean_row, uniform_assignment, weight_bytes
from edgesr.bench.mixed_page import mixed_page
from edgesr.models import build_model
from edgesr.models.quantized import float_graph
from edgesr.quant.mixed import CANDIDATES, trained
from edgesr.quant.mixed_program import Budget
from edgesr.quant.mixed_ptq import Prepared
from edgesr.quant.scheme import SCHEMES


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    graph = float_graph(build_model("abpn", 2).eval(), "abpn")
    return Prepared(graphs=(graph,), samples=(), grids=(), timesteps=(0,))


def test_a_uniform_scheme_keeps_8_bit_weights_at_both_ends(prepared: Prepared) -> None:
    first, *middle, last = uniform_assignment(prepared, SCHEMES["wi6_ai6"]).values()
    assert (first.weight_bits, first.activation_bits) == (8, 8)
    assert (last.weight_bits, last.activation_bits) == (8, 6)
    assert {(one.weight_bits, one.activation_bits) for one in middle} == {(6, 6)}


def test_narrow_schemes_that_layers_may_take_set_a_budget_each(prepared: Prepared) -> None:
    asked = [Budget(size=0.6, operations=0.5), Budget(operations=0.75)]
    found = budgets_of(prepared, asked, CANDIDATES)
    names = ["0.6 of bytes, 0.5 of bit operations", "0.75 of bit operations"]
    assert list(found) == [*names, "as W4A8", "as W6A6"]
    assert list(budgets_of(prepared, asked, ("wi8_ai8", "wi4_ai8")))[2:] == ["as W4A8"]
    sizes = [op.weight.size for op in trained(prepared.graphs[0])]
    assert weight_bytes(prepared) == sum(sizes)
    narrow = sizes[0] + sum(sizes[1:-1]) / 2 + sizes[-1]
    assert found["as W4A8"].size == pytest.approx(narrow / sum(sizes))


def way(kind: str, name: str, psnr: float, *, exported: bool = False) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "size": 0.5,
        "operations": 0.25,
        "predicted_db": psnr,
        "measured_db": psnr,
        "figures": {"Set5": {"psnr_to_float": psnr, "drop": 0.1}},
        "layers": {"a": "W8A8", "b": "W4A8"},
        "exported": exported,
    }


def test_random_rows_of_a_budget_are_shown_as_their_mean() -> None:
    rows = [way("random", "x", 40.0), way("random", "x", 43.0)]
    mean = mean_row(rows)
    assert mean["predicted_db"] == mean["figures"]["Set5"]["psnr_to_float"] == 41.5
    document = {
        "network": {"model": "tiny", "scale": 2, "calibration": "8 crops", "sha256": "f" * 64}
        | {"weight_bytes": 1234, "timesteps": [4, 2]},
        "environment": {"packages": {"torch": "2"}},
        "sets": {"Set5": {"images": 5}},
        "candidates": {"wi8_ai8": "W8A8", "wi6_ai6": "W6A6"},
        "layers": [
            {"name": "a", "weights": 9, "sensitivity_db": {"wi8_ai8": 61.25}},
            {"name": "b", "weights": 1000, "sensitivity_db": {"wi8_ai8": 60.0, "wi6_ai6": 50.0}},
        ],
        "rows": [
            way("uniform", "W8A8", 50.0, exported=True),
            way("uniform", "W4A8 (simulated)", 42.0),
            way("mixed", "as W4A8", 44.0),
            *rows,
        ],
    }
    page = mixed_page([document])
    assert "## tiny x2, sampled at 4, 2" in page
    assert "| W8A8 | 0.500 | 0.250 | 50.00 | 50.00 | 50.00 | +0.100 | int8 |" in page
    assert page.count("| random: x | 0.500 | 0.250 | 41.50 |") == 1
    assert "At the budget of W4A8: 44.00 dB to float on Set5, W4A8 42.00" in page
    assert "| a | 9 | 61.2 |  | W8A8 |" in page
