"""Measure what every rounding of an int8 network costs in its pictures, and what helps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgesr.debug.figures import BiasTrial, Probe, RangeTrial, Suspect, gain
from edgesr.debug.first_pass import (
    FirstPass,
    Pixels,
    Tick,
    batch_of,
    float_picture,
    float_values,
    squared_error,
)
from edgesr.debug.mixed import Changes, picture, run_mixed
from edgesr.errors import DataError
from edgesr.quant.scheme import QuantizedGraph

TRIAL_GAIN_DB = 0.25
"""Remedies are tried out where float would gain at least as much."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Probed:
    """Figures and the pictures they are of.

    Attributes:
        probe: figures.
        floats: pictures of the float network, ``(h, w, 3)`` grey levels, clipped, not rounded.
        int8s: pictures of the int8 network.
    """

    probe: Probe
    floats: list[NDArray[np.float32]]
    int8s: list[NDArray[np.float32]]


def probe(
    quantized: QuantizedGraph, crops: Sequence[Pixels], *, tick: Tick = lambda: None
) -> Probed:
    """Compare the int8 network with its own float weights.

    A first pass over the crops measures all tensors and keeps every group of tensors that share a
    grid, and every layer's weights, in float alone. A second pass tries a better range or a
    corrected bias where float gained 0.25 dB or more. Tensors of one crop are in memory at a time.

    Args:
        quantized: network with an input and an output of grey levels.
        crops: low-resolution images ``(h, w, 3)``.
        tick: called after every run of the network, ``num_runs`` times at most.

    Raises:
        DataError: there are no crops.
        GraphError: a tensor takes NaN or infinity, or an operation has no int8 form.
    """
    if not crops:
        raise DataError("no image to debug with; name a folder with --data")
    first = FirstPass(quantized)
    for lr in crops:
        first.take(lr, tick)
    suspects = _tried(first, crops, tick)
    return Probed(
        probe=Probe(
            totals=first.totals(),
            tensors=first.tensor_figures(),
            layers=first.layer_figures(),
            suspects=tuple(sorted(suspects, key=lambda one: (one.fixed, -one.gain_db))),
        ),
        floats=first.floats,
        int8s=first.int8s,
    )


def num_runs(quantized: QuantizedGraph, crops: int) -> int:
    """Return how often ``probe`` calls ``tick`` at most."""
    return 2 * crops * len(FirstPass(quantized).changes)


def _tried(first: FirstPass, crops: Sequence[Pixels], tick: Tick) -> list[Suspect]:
    """Try the remedy of every suspect that is worth it."""
    quantized, suspects = first.quantized, first.suspects()
    changes = {
        index: _remedied(suspect, first)
        for index, suspect in enumerate(suspects)
        if suspect.gain_db >= TRIAL_GAIN_DB and not suspect.fixed
    }
    left = dict.fromkeys(changes, 0.0)
    for lr in crops if changes else ():
        base = run_mixed(quantized, batch_of(lr))
        reference = float_picture(quantized.graph, float_values(quantized.graph, lr))
        for index, change in changes.items():
            tried = run_mixed(quantized, batch_of(lr), change, base=base)
            left[index] += squared_error(picture(quantized, tried), reference)
            tick()
    for index, change in changes.items():
        gained = gain(first.squared_error, left[index])
        suspects[index] = _with_trial(suspects[index], change, gained)
    return suspects


def _remedied(suspect: Suspect, first: FirstPass) -> Changes:
    if suspect.kind == "tensor":
        grid = first.ranges[suspect.name].qparams(suspect.bits)
        return Changes(grids=dict.fromkeys(suspect.tensors, grid))
    return Changes(bias_shifts={suspect.name: -first.layers[suspect.name].mean_error})


def _with_trial(suspect: Suspect, change: Changes, gain_db: float) -> Suspect:
    if suspect.kind == "tensor":
        grid = change.grids[suspect.name]
        trial = RangeTrial(low=grid.low, high=grid.high, gain_db=gain_db)
        return replace(suspect, range_trial=trial)
    largest = float(np.abs(change.bias_shifts[suspect.name]).max())
    return replace(suspect, bias_trial=BiasTrial(largest=largest, gain_db=gain_db))
