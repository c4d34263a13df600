"""Choose a precision for every layer by integer programming: least error within a budget.

One binary variable a layer and scheme. Every layer takes one scheme, layers that read one grid take
one width of activations, and the bits of the weights and the bit operations stay within what is
allowed. HiGHS (through scipy) proves the optimum; a hundred layers take a fraction of a second.

Source: Zhao et al. 2024 (MixDQ), arXiv 2405.17873, whose program has one budget; two fit as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgesr.errors import DataError
from edgesr.quant.mixed import Slot
from edgesr.quant.scheme import BITS, INT8, Scheme

_INFEASIBLE = 2
_LARGEST = 1e7
"""Largest coefficient of the objective; HiGHS closes its gap to 1e-6."""
_SLACK = 0.5
"""Of whole numbers: the solver's tolerance cannot lift a sum over the limit."""

Choices = Mapping[str, Sequence[Scheme]]
Errors = Mapping[str, Mapping[str, float]]
"""By layer and name of the scheme."""
Column = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What an assignment may cost, as shares of what W8A8 in all layers costs; None is no limit.

    Attributes:
        size: bytes of weights.
        operations: MACs times bits of weights times bits of activations.
    """

    size: float | None = None
    operations: float | None = None


def weight_bits(slot: Slot, scheme: Scheme) -> int:
    """Return the bits that the weights of a layer take."""
    return slot.weights * scheme.weight_bits


def bit_operations(slot: Slot, scheme: Scheme) -> int:
    """Return the MACs of a layer times both widths; what reads an image reads 8 bits."""
    width = BITS if slot.group is None else scheme.activation_bits
    return slot.macs * scheme.weight_bits * width


Cost = Callable[[Slot, Scheme], int]


def cost_share(slots: Sequence[Slot], assignment: Mapping[str, Scheme], cost: Cost) -> float:
    """Return what an assignment costs over what W8A8 costs."""
    return sum(cost(one, assignment[one.name]) for one in slots) / _whole(slots, cost)


def assign(
    slots: Sequence[Slot], choices: Choices, errors: Errors, budget: Budget
) -> dict[str, Scheme]:
    """Return the scheme of every layer with the least sum of errors within a budget.

    Args:
        slots: layers.
        choices: schemes that each may take.
        errors: of each of them, not negative.
        budget: what it may cost.

    Raises:
        DataError: nothing fits; the message says what the smallest budget is.
    """
    pairs = [(one, scheme) for one in slots for scheme in choices[one.name]]
    objective = np.array([errors[one.name][scheme.name] for one, scheme in pairs])
    least = sum(min(errors[one.name][s.name] for s in choices[one.name]) for one in slots)
    largest = max(float(objective.max()), 1e-300)
    # in units of the least sum there can be, so that the solver's gap is small against any answer
    factor = min(1.0 / max(least, 1e-300), _LARGEST / largest)
    limits = [
        (cost, limit)
        for cost, limit in ((weight_bits, budget.size), (bit_operations, budget.operations))
        if limit is not None
    ]
    found = _solved(pairs, objective * factor, limits, slots)
    if found is None:
        raise DataError(_too_small(pairs, slots, budget))
    return found


def _solved(
    pairs: Sequence[tuple[Slot, Scheme]],
    objective: Column,
    limits: Sequence[tuple[Cost, float]],
    slots: Sequence[Slot],
) -> dict[str, Scheme] | None:
    """Return the optimum, or None where nothing fits."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    one_each, ties = _equalities(pairs)
    rules = [LinearConstraint(one_each, 1.0, 1.0)]
    if len(ties):
        rules.append(LinearConstraint(ties, 0.0, 0.0))
    for cost, limit in limits:
        row, unit = _row(pairs, cost)
        # the share of a real assignment, read back, must not fall below it by rounding
        allowed = math.floor(limit * _whole(slots, cost) * (1.0 + 1e-9)) // unit
        rules.append(LinearConstraint(row, -np.inf, allowed + _SLACK))
    result = milp(
        objective,
        integrality=np.ones(len(pairs)),
        bounds=Bounds(0.0, 1.0),
        constraints=rules,
        options={"mip_rel_gap": 0.0},
    )
    if result.status == _INFEASIBLE:
        return None
    if not result.success:
        raise DataError(
            f"integer program: the solver stopped ({result.message}); raise the budgets or name "
            "fewer --candidates"
        )
    return {
        slot.name: scheme
        for (slot, scheme), taken in zip(pairs, result.x, strict=True)
        if taken > _SLACK
    }


def _equalities(pairs: Sequence[tuple[Slot, Scheme]]) -> tuple[Column, Column]:
    """Return rows that are 1 (one scheme a layer) and rows that are 0 (one width a group)."""
    names = list(dict.fromkeys(slot.name for slot, _ in pairs))
    one_each = np.array([[slot.name == name for slot, _ in pairs] for name in names], np.float64)
    groups: dict[str, list[str]] = {}
    for slot, _ in pairs:
        if slot.group is not None and slot.name not in groups.setdefault(slot.group, []):
            groups[slot.group].append(slot.name)
    widths = sorted({scheme.activation_bits for _, scheme in pairs})
    ties = [
        [
            ((slot.name == first) - (slot.name == other)) * (scheme.activation_bits == width)
            for slot, scheme in pairs
        ]
        for first, *others in groups.values()
        for other in others
        for width in widths
    ]
    return one_each, np.array(ties, np.float64)


def _row(pairs: Sequence[tuple[Slot, Scheme]], cost: Cost) -> tuple[Column, int]:
    """Return whole numbers without a common factor, and that factor."""
    numbers = [cost(slot, scheme) for slot, scheme in pairs]
    unit = math.gcd(*numbers)
    return np.array([number // unit for number in numbers], np.float64), unit


def _whole(slots: Sequence[Slot], cost: Cost) -> int:
    return sum(cost(one, INT8) for one in slots)


def _too_small(pairs: Sequence[tuple[Slot, Scheme]], slots: Sequence[Slot], budget: Budget) -> str:
    """Say what was asked for and what the least is, each budget alone and then together."""
    kinds = (
        (weight_bits, budget.size, "bytes of weights", "--bytes-budget"),
        (bit_operations, budget.operations, "bit operations", "--bops-budget"),
    )
    least = {}
    for cost, limit, what, flag in kinds:
        if limit is not None:
            row, _ = _row(pairs, cost)
            smallest = _solved(pairs, row / row.max(), (), slots)
            assert smallest is not None  # noqa: S101 - without a limit everything fits
            least[what] = (cost_share(slots, smallest, cost), limit, flag)
    short = {what: one for what, one in least.items() if one[0] > one[1]}
    names = ", ".join(dict.fromkeys(scheme.name for _, scheme in pairs))
    # rounded up, so that what is printed is a budget that fits
    parts = [
        f"{limit:.4g} of W8A8's {what}, and the smallest of {names} takes "
        f"{math.ceil(smallest * 1e4) / 1e4:.4f} "
        f"(raise {flag})"
        for what, (smallest, limit, flag) in (short or least).items()
    ]
    together = "" if short else ": each fits alone, but not both together"
    return (
        f"no assignment fits the budget{together}: asked for {'; '.join(parts)}, or allow "
        "narrower --candidates"
    )
