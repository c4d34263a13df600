"""Precisions by integer programming: the optimum is that of trying everything."""

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from edgesr.errors import DataError
from edgesr.quant.mixed import Slot
from edgesr.quant.mixed_program import Budget, assign, bit_operations, cost_share, weight_bits
from edgesr.quant.scheme import INT8, SCHEMES, Scheme

pytest.importorskip("scipy", reason="needs scipy, as edgesr[mixed] brings it")

NAMES = ("wi8_ai8", "wi8_ai16", "wi4_ai8", "wi6_ai6")
EIGHT = [SCHEMES[name] for name in ("wi8_ai8", "wi4_ai8")]
ALL = [SCHEMES[name] for name in NAMES]

Errors = dict[str, dict[str, float]]


def problem(seed: int) -> tuple[list[Slot], dict[str, Sequence[Scheme]], Errors]:
    """Five layers; the first reads an image, the third and the fourth read one tensor."""
    random = np.random.default_rng(seed)
    slots = [
        Slot(
            name=name,
            weights=int(random.integers(1, 400)) * 9,
            macs=int(random.integers(1, 400)) * 4096,
            group=group,
        )
        for name, group in zip("abcde", (None, "t", "u", "u", "v"), strict=True)
    ]
    choices: dict[str, Sequence[Scheme]] = {
        one.name: EIGHT if one.group is None else ALL for one in slots
    }
    errors = {
        one.name: {s.name: float(random.lognormal(-s.weight_bits, 2.0)) for s in choices[one.name]}
        for one in slots
    }
    return slots, choices, errors


def total(errors: Errors, assignment: Mapping[str, Scheme]) -> float:
    return sum(errors[name][scheme.name] for name, scheme in assignment.items())


def fits(slots: Sequence[Slot], assignment: Mapping[str, Scheme], budget: Budget) -> bool:
    """Tell so in whole numbers, by no code of the program's."""
    size = sum(s.weights * assignment[s.name].weight_bits for s in slots)
    operations = sum(
        s.macs
        * assignment[s.name].weight_bits
        * (8 if s.group is None else assignment[s.name].activation_bits)
        for s in slots
    )
    whole = sum(8 * s.weights for s in slots), sum(64 * s.macs for s in slots)
    tied = assignment["c"].activation_bits == assignment["d"].activation_bits
    limits = (budget.size or np.inf, budget.operations or np.inf)
    return tied and size <= limits[0] * whole[0] and operations <= limits[1] * whole[1]


@pytest.mark.parametrize("seed", range(25))
def test_it_finds_what_trying_everything_finds(seed: int) -> None:
    slots, choices, errors = problem(seed)
    random = np.random.default_rng(1000 + seed)
    budget = Budget(size=float(random.uniform(0.55, 1.0)), operations=random.uniform(0.55, 1.5))
    tried = [dict(zip(choices, one, strict=True)) for one in itertools.product(*choices.values())]
    possible = [one for one in tried if fits(slots, one, budget)]
    best = min((total(errors, one) for one in possible), default=None)
    if best is None:
        with pytest.raises(DataError, match="no assignment fits"):
            assign(slots, choices, errors, budget)
        return
    found = assign(slots, choices, errors, budget)
    assert fits(slots, found, budget)
    assert total(errors, found) == pytest.approx(best, rel=1e-6)


def test_without_a_limit_every_layer_takes_its_best() -> None:
    slots, choices, errors = problem(0)
    errors["c"] = dict.fromkeys(errors["c"], 0.0)
    found = assign(slots, choices, errors, Budget())
    for name in "abe":
        assert errors[name][found[name].name] == min(errors[name].values())


def test_the_cost_of_an_assignment_is_a_budget_that_it_fits() -> None:
    slots, choices, errors = problem(3)
    drawn = {one.name: SCHEMES["wi6_ai6"] for one in slots} | {"a": SCHEMES["wi4_ai8"]}
    budget = Budget(
        size=cost_share(slots, drawn, weight_bits),
        operations=cost_share(slots, drawn, bit_operations),
    )
    assert total(errors, assign(slots, choices, errors, budget)) <= total(errors, drawn)
    eight = dict.fromkeys("abcde", INT8)
    assert cost_share(slots, eight, weight_bits) == cost_share(slots, eight, bit_operations) == 1


def test_too_small_a_budget_says_what_the_smallest_is() -> None:
    slots, choices, errors = problem(0)
    with pytest.raises(DataError, match=r"asked for 0.3 .* takes 0.5000 \(raise --bytes-budget\)"):
        assign(slots, choices, errors, Budget(size=0.3))
    with pytest.raises(DataError, match=r"bit operations.*raise --bops-budget"):
        assign(slots, choices, errors, Budget(size=0.9, operations=0.1))


def test_the_smallest_budget_that_a_refusal_names_fits() -> None:
    slots = [Slot(name=n, weights=w, macs=64, group="t") for n, w in (("a", 7), ("b", 16))]
    choices = {"a": [INT8], "b": [INT8, SCHEMES["wi4_ai8"]]}  # 120 of 184 bits: 0.65217
    errors = {"a": {"wi8_ai8": 0.0}, "b": {"wi8_ai8": 0.0, "wi4_ai8": 1.0}}
    with pytest.raises(DataError) as refused:
        assign(slots, choices, errors, Budget(size=0.1))
    named = re.search(r"takes (0\.\d{4})", str(refused.value))
    assert named is not None
    assert assign(slots, choices, errors, Budget(size=float(named[1])))["b"].weight_bits == 4


def test_budgets_that_fit_only_alone_are_named_together() -> None:
    # fewer bytes want narrow weights in a, fewer operations in b: each layer is large in one
    sizes = (("a", 1000, 64, "t"), ("b", 10, 6400, "u"))
    slots = [Slot(name=n, weights=w, macs=m, group=g) for n, w, m, g in sizes]
    narrow, wide = SCHEMES["wi4_ai8"], SCHEMES["wi8_ai16"]
    choices = {"a": [INT8, narrow], "b": [INT8, wide]}
    errors = {"a": {"wi8_ai8": 0.1, "wi4_ai8": 1.0}, "b": {"wi8_ai8": 1.0, "wi8_ai16": 0.1}}
    found = assign(slots, choices, errors, Budget(size=0.6, operations=1.0))
    assert found == {"a": narrow, "b": INT8}
    assert assign(slots, choices, errors, Budget(operations=2.0)) == {"a": INT8, "b": wide}


def test_both_budgets_that_clash_are_named_with_what_each_takes_alone() -> None:
    slots = [Slot(name=n, weights=9, macs=64, group="t") for n in "ab"]
    # narrow weights come with wide activations only
    odd = Scheme(weight_bits=4, activation_bits=16)
    narrow = Scheme(weight_bits=8, activation_bits=4)
    choices = {name: [odd, narrow] for name in "ab"}
    errors = {name: {odd.name: 1.0, narrow.name: 1.0} for name in "ab"}
    with pytest.raises(DataError, match="each fits alone, but not both together"):
        assign(slots, choices, errors, Budget(size=0.6, operations=0.6))
