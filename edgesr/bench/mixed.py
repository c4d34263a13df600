"""Mixed precision against one precision for all layers: what is predicted, and what is measured."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from edgesr.quant.mixed import Assignment, choices, refusal, slots, trained
from edgesr.quant.mixed_program import (
    Budget,
    assign,
    bit_operations,
    cost_share,
    weight_bits,
)
from edgesr.quant.mixed_ptq import Prepared, quantize_assigned
from edgesr.quant.mixed_sensitivity import Sensitivities, measured_error
from edgesr.quant.scheme import BITS, INT8, SCHEMES, QuantizedGraph, Scheme
from edgesr.quant.widths import layer_bits, tensor_bits

SCHEMA = "edgesr/mixed-precision/1"
UNIFORM = ("wi8_ai8", "wi4_ai8", "wi6_ai6")
"""What is compared with; those that layers may take set a budget each as well."""
Figures = Mapping[str, Mapping[str, float]]
"""By set of images: ``psnr_to_float`` and ``drop``, in dB."""
Listen = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A network, or the steps of a denoiser, with what assignments of it are judged by.

    Attributes:
        prepared: float networks, images and grids.
        figures: measures integers on images.
        peak: of the output's range, for decibels of its mean squared error.
    """

    prepared: Prepared
    figures: Callable[[Sequence[QuantizedGraph]], Figures]
    peak: float

    def decibels(self, error: float) -> float:
        """Return a mean squared error of the output as PSNR."""
        return round(10 * math.log10(self.peak**2 / max(error, 1e-20)), 3)


def uniform_assignment(prepared: Prepared, scheme: Scheme) -> dict[str, Scheme]:
    """Return what every layer has in a uniform scheme, whose outer layers keep 8 bits."""
    graph = prepared.graphs[0]
    layers, tensors = layer_bits(graph, scheme), tensor_bits(graph, scheme)
    return {
        op.name: Scheme(weight_bits=layers[op.name], activation_bits=tensors[op.inputs[0]])
        for op in trained(graph)
    }


def budgets_of(
    prepared: Prepared, asked: Sequence[Budget], names: Sequence[str]
) -> dict[str, Budget]:
    """Return the budgets by name: those asked for, and what narrower uniform schemes cost.

    Args:
        prepared: networks.
        asked: shares of W8A8.
        names: schemes that layers may take; only those of them set a budget.
    """
    found = {_budget_name(one): one for one in asked}
    for name in (one for one in UNIFORM if one in names and one != INT8.name):
        size, operations = _shares(prepared, uniform_assignment(prepared, SCHEMES[name]))
        label = SCHEMES[name].label.removesuffix(" (simulated)")
        found[f"as {label}"] = Budget(size=size, operations=operations)
    return found


def layer_rows(
    subject: Subject, found: Sensitivities, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what is known of every layer, as JSON values; errors are in dB of PSNR."""
    graph = subject.prepared.graphs[0]
    options = choices(graph, names)
    return [
        {
            "name": one.name,
            "weights": one.weights,
            "macs": one.macs,
            "reads": one.group,
            "sensitivity_db": {
                scheme.name: subject.decibels(found.of(one.name, one.group, scheme))
                for scheme in options[one.name]
            },
        }
        for one in slots(graph)
    ]


def rows(  # noqa: PLR0913 - what the rows are made of
    subject: Subject,
    found: Sensitivities,
    budgets: Mapping[str, Budget],
    names: Sequence[str],
    *,
    random: int,
    listen: Listen,
) -> Iterator[tuple[dict[str, Any], Sequence[QuantizedGraph]]]:
    """Yield one row a way with its integers: uniform, then mixed and random by budget.

    Random is the same program with random sensitivities that fall with the widths: an assignment
    that fills the budget as well, and knows nothing of the network.

    Args:
        subject: what is quantized.
        found: sensitivities.
        budgets: by name.
        names: schemes that layers may take.
        random: number of random assignments of every budget.
        listen: gets the name of what comes.

    Raises:
        DataError: a budget that no assignment fits.
    """
    graph = subject.prepared.graphs[0]
    layers, options = slots(graph), choices(graph, names)
    errors = {
        one.name: {s.name: found.of(one.name, one.group, s) for s in options[one.name]}
        for one in layers
    }
    # all programs first: a budget that is too small must not be found out after hours
    chosen = {name: assign(layers, options, errors, budget) for name, budget in budgets.items()}
    for name in UNIFORM:
        listen(SCHEMES[name].label)
        assignment = uniform_assignment(subject.prepared, SCHEMES[name])
        yield _way(subject, ("uniform", SCHEMES[name].label), assignment, found)
    for name, budget in budgets.items():
        listen(f"mixed, {name}")
        yield _way(subject, ("mixed", name), chosen[name], found)
        for seed in range(random):
            listen(f"random {seed}, {name}")
            drawn = assign(layers, options, _random_errors(errors, options, seed), budget)
            yield _way(subject, ("random", name), drawn, found)


def mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of several rows: shares, decibels and figures; of one row itself."""
    first = rows[0]
    keys = ("size", "operations", "predicted_db", "measured_db")
    return {
        **first,
        **{key: fmean(row[key] for row in rows) for key in keys},
        "figures": {
            name: {key: fmean(row["figures"][name][key] for row in rows) for key in figures}
            for name, figures in first["figures"].items()
        },
    }


def _random_errors(
    errors: Mapping[str, Mapping[str, float]],
    options: Mapping[str, Sequence[Scheme]],
    seed: int,
) -> dict[str, dict[str, float]]:
    random = np.random.default_rng(seed)
    found: dict[str, dict[str, float]] = {}
    for layer in errors:
        of_weights, of_tensor = random.random(2)
        found[layer] = {
            one.name: float(
                of_weights * 4.0**-one.weight_bits + of_tensor * 4.0**-one.activation_bits
            )
            for one in options[layer]
        }
    return found


def _way(
    subject: Subject, title: tuple[str, str], assignment: Assignment, found: Sensitivities
) -> tuple[dict[str, Any], Sequence[QuantizedGraph]]:
    """Quantize to an assignment and measure it; ``title`` is its kind and name."""
    size, operations = _shares(subject.prepared, assignment)
    integers = quantize_assigned(subject.prepared, assignment)
    row = {
        "kind": title[0],
        "name": title[1],
        "size": round(size, 6),
        "operations": round(operations, 6),
        "predicted_db": subject.decibels(found.predicted(subject.prepared.graphs[0], assignment)),
        "measured_db": subject.decibels(measured_error(subject.prepared, integers)),
        "figures": {key: dict(one) for key, one in subject.figures(integers).items()},
        "layers": {
            layer: f"W{one.weight_bits}A{one.activation_bits}" for layer, one in assignment.items()
        },
        "exported": refusal(integers[0]) is None,
    }
    return row, integers


def _shares(prepared: Prepared, assignment: Assignment) -> tuple[float, float]:
    layers = slots(prepared.graphs[0])
    return (
        cost_share(layers, assignment, weight_bits),
        cost_share(layers, assignment, bit_operations),
    )


def _budget_name(budget: Budget) -> str:
    parts = ((budget.size, "bytes"), (budget.operations, "bit operations"))
    return ", ".join(f"{share:.4g} of {what}" for share, what in parts if share is not None)


def weight_bytes(prepared: Prepared) -> int:
    """Return the bytes of W8A8's weights."""
    return sum(one.weights for one in slots(prepared.graphs[0])) * BITS // 8
