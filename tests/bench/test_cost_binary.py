"""The published counts of BI-DiffSR, 256x256 pixels."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from edgesr.bench.cost_binary import binary_cost
from edgesr.errors import GraphError
from edgesr.models.bidiffsr import PUBLISHED_STYLE, bidiffsr
from edgesr.models.denoisers import build_denoiser


def network(**settings: Any) -> Any:
    with torch.device("meta"):
        return bidiffsr(4, **settings)


def test_the_published_network_has_the_published_counts() -> None:
    cost = binary_cost(network(), shape=(256, 256))
    assert cost.binary_params == 48_211_968
    assert cost.binary_params + cost.float_params == 51_280_387
    assert round(cost.paper_params / 1e6, 3) == 4.575
    assert round(cost.binary_macs / 1e9, 3) == 98.650
    assert round(cost.float_macs / 1e9, 3) == 33.626
    assert round(cost.attention_macs / 1e9, 3) == 1.074
    assert round(5 * cost.norm_values / 1e9, 3) == 0.427
    assert round(cost.paper_ops / 1e9, 3) == 36.669
    assert cost.float_share == pytest.approx(0.958, abs=5e-4)
    assert cost.packed_bytes <= 12.5e6


def groups(number: int) -> Any:
    return replace(PUBLISHED_STYLE, groups=number)


@pytest.mark.parametrize(
    ("settings", "params", "bits", "paper_params", "paper_ops"),
    [
        ({"style": groups(1)}, 51.003, 48.212, 4.298, 36.669),
        ({"style": groups(2)}, 51.072, 48.212, 4.367, 36.669),
        ({"float_levels": ()}, 51.324, 49.441, 3.428, 4.960),
        ({"float_levels": (0,)}, 51.310, 49.195, 3.652, 20.81),
        ({"width": 32}, 12.916, 12.053, 1.240, 9.627),
        ({"width": 32, "float_levels": ()}, 12.938, 12.360, 0.964, 1.700),
        ({"width": 16, "norm_groups": 8}, 3.277, 3.013, 0.358, 2.637),
    ],
)
def test_variants_have_their_counts(
    settings: dict[str, Any], params: float, bits: float, paper_params: float, paper_ops: float
) -> None:
    cost = binary_cost(network(**settings), shape=(256, 256))
    found = (cost.binary_params + cost.float_params, cost.binary_params, cost.paper_params)
    assert [value / 1e6 for value in found] == pytest.approx([params, bits, paper_params], abs=6e-4)
    assert cost.paper_ops / 1e9 == pytest.approx(paper_ops, rel=5e-4)


def test_the_share_of_the_edge_network_that_is_float_is_that_of_the_docs() -> None:
    with torch.device("meta"):
        cost = binary_cost(build_denoiser("bidiffsr_edge", 4), shape=(256, 256))
    assert cost.attention_macs == 0
    assert round(cost.float_share, 2) == 0.43


def test_a_network_on_the_low_resolution_grid_is_counted_there() -> None:
    cost = binary_cost(build_denoiser("resshift_px_s_1bit", 4), shape=(256, 256))
    blocks = 2 * 2 * 9 * (32**2 + 64**2 / 4)  # two convolutions a block, two blocks a level
    assert cost.binary_macs == blocks * 64 * 64
    assert cost.binary_params == 2 * 2 * 9 * (32**2 + 64**2)


def test_a_float_denoiser_is_refused() -> None:
    with pytest.raises(GraphError, match="no binary convolution"):
        binary_cost(build_denoiser("resshift_px_s", 4), shape=(64, 64))


def test_sides_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(GraphError, match="250x256: want multiples of 8"):
        binary_cost(network(), shape=(250, 256))
