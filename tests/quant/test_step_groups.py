"""Grouping of steps: the cheapest cut is that of a brute-force search, histograms add up."""

import itertools

import numpy as np
import pytest
import torch

from edgesr.errors import DataError
from edgesr.quant.histogram import Histogram, joined
from edgesr.quant.step_groups import cheapest_cuts, choose_groups


def brute_force(costs: np.ndarray, groups: int) -> float:
    count = len(costs)
    found = []
    for cuts in itertools.combinations(range(1, count), groups - 1):
        edges = [0, *cuts, count]
        found.append(float(sum(costs[a, b - 1] for a, b in itertools.pairwise(edges))))
    return min(found)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("seed", range(3))
def test_every_cut_is_as_cheap_as_brute_force_finds(count: int, seed: int) -> None:
    costs = np.random.default_rng(seed).random((count, count))
    cuts = cheapest_cuts(costs)
    assert len(cuts) == count
    for groups, (cost, numbers) in enumerate(cuts, 1):
        assert cost == pytest.approx(brute_force(costs, groups))
        assert list(numbers) == sorted(numbers)
        assert set(numbers) == set(range(groups))
        parts = [[i for i, n in enumerate(numbers) if n == group] for group in range(groups)]
        assert cost == pytest.approx(sum(costs[part[0], part[-1]] for part in parts))


def test_the_least_number_of_groups_within_five_percent_wins() -> None:
    far, near = 10.0, 0.01
    costs = np.full((4, 4), far)
    for first in range(4):
        costs[first, first] = 1.0
    costs[0, 1], costs[2, 3] = 2.0 + near, 2.0 + near
    assert choose_groups(costs).groups == (0, 0, 1, 1)
    assert choose_groups(costs, number=4).groups == (0, 1, 2, 3)
    with pytest.raises(DataError, match="5 groups of 4 steps"):
        choose_groups(costs, number=5)


def test_joined_histograms_have_seen_what_one_histogram_of_all_has() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [
        scale * torch.randn(4000, generator=generator) + shift
        for scale, shift in ((1.0, 0.0), (30.0, 5.0), (0.01, -0.2))
    ]
    parts.append(torch.zeros(10))
    one, several = Histogram(), []
    for part in parts:
        one.update(part)
        several.append(Histogram())
        several[-1].update(part)
    for order in (several, several[::-1]):
        found = joined(order)
        assert (found.low, found.high, found.zeros) == (one.low, one.high, one.zeros)
        assert found.total == one.total
        assert found.width in {one.width, 2 * one.width}
        mean = (found.centres() * found.counts).sum() / found.total
        assert mean == pytest.approx(float(torch.cat(parts).mean()), abs=found.width)
