"""Post-training quantization of a denoiser: one graph a timestep, weights shared by all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgesr.errors import DataError
from edgesr.graph.graph import Graph
from edgesr.quant.calibrate import Calibration, CalibrationBatch, calibrate, some_of
from edgesr.quant.equalize import equalize_together
from edgesr.quant.grids import assign_qparams, shared_grids
from edgesr.quant.layerwise import fit_together, trained_layers
from edgesr.quant.observers import HistogramObserver, Observer
from edgesr.quant.output_search import search_ranges
from edgesr.quant.output_step import share_output_step
from edgesr.quant.recipe import OURS, PtqRecipe
from edgesr.quant.scheme import QParams, QuantizedGraph
from edgesr.quant.step_dead import refuse_dead
from edgesr.quant.step_groups import (
    TOLERANCE,
    Grouping,
    choose_groups,
    group_costs,
    sensitivities,
)
from edgesr.quant.step_weights import share_weights
from edgesr.quant.stepwise import INPUT_LEVELS, check_shared
from edgesr.quant.weights import quantize_weights
from edgesr.quant.widths import layer_bits, tensor_bits

_FIT_PIXELS = 2**15
_SEARCH_PIXELS = 2**15
_WEIGHT_PIXELS = 2**13
"""Pixels of all steps together that a part of the method works on."""

Grids = Mapping[str, QParams]


@dataclass(frozen=True, kw_only=True)
class StepsResult:
    """Quantized steps and how they came about.

    Attributes:
        quantized: by timestep, in sampling order.
        grouping: which steps share grids.
        calibrations: what every step saw, by timestep.
        saturation: share of values outside the grids in use, 0 to 1, by timestep and tensor.
        bias_corrections: largest bias shift in real units by layer, over all steps.
    """

    quantized: Mapping[int, QuantizedGraph]
    grouping: Grouping
    calibrations: Mapping[int, Calibration]
    saturation: Mapping[int, Mapping[str, float]]
    bias_corrections: Mapping[str, float]


def quantize_steps(
    graphs: Mapping[int, Graph],
    batches: Sequence[CalibrationBatch],
    recipe: PtqRecipe = OURS,
    *,
    groups: int | None = None,
) -> StepsResult:
    """Quantize the networks of a denoiser's steps so that they share the weights' bytes.

    Inputs are on ``INPUT_LEVELS``; the output's grid is calibrated, one for all steps where that
    costs nothing.

    Args:
        graphs: float network by timestep in sampling order, noisiest first; lowered, and shifted by
            ``shift_input``. They differ in positive channel scales and in biases alone.
        batches: what the steps were fed in float32, with their timesteps.
        recipe: how; its rounding is ``nearest`` or ``gptq``, and ``fixed_ends`` is not read.
        groups: number of groups of consecutive steps that share grids; None takes the least that
            costs nothing.

    Raises:
        DataError: a batch is of no step, a step has no batch where one is needed, or the recipe or
            number of groups does not fit.
        GraphError: graphs that cannot share weights, that hold an operation without integers, or
            a layer that is 0 on everything that it was calibrated with.
    """
    if recipe.rounding not in {"nearest", "gptq"}:
        raise DataError(
            f"rounding {recipe.rounding!r} is learned for one network, and steps share their "
            "weights; want nearest or gptq"
        )
    order, fed = list(graphs), _by_step(graphs, batches)
    nets = list(graphs.values())
    if recipe.equalize:
        nets = equalize_together(nets, fed)
    seen = _calibrated(order, nets, fed, recipe)
    network = _Steps(order, nets, fed, seen, recipe)
    grouping = network.group(groups)
    grids = network.grids_of(grouping.groups)
    refuse_dead(nets[0], dict(zip(order, grids, strict=True)))
    first = quantize_weights(nets[0], grids[0], layer_bits(nets[0], recipe.scheme))
    quantized = [
        QuantizedGraph(
            graph=net,
            qparams=grid,
            weights=share_weights(first, nets[0], net, grid, timestep=timestep),
            scheme=recipe.scheme.name,
        )
        for timestep, net, grid in zip(order, nets, grids, strict=True)
    ]
    layers = trained_layers(nets[0])
    corrected = {"none": [], "last": layers[-1:], "all": layers}[recipe.bias_correction]
    rounded = layers if recipe.rounding == "gptq" else []
    corrections: dict[str, float] = {}
    if corrected or rounded:
        samples = network.samples(range(len(order)), _FIT_PIXELS)
        quantized, corrections = fit_together(
            quantized, samples, rounded=rounded, corrected=corrected
        )
    found = dict(zip(order, quantized, strict=True))
    check_shared(found)
    return StepsResult(
        quantized=found,
        grouping=grouping,
        calibrations=seen,
        saturation={
            step: calibration.saturation(found[step].qparams) for step, calibration in seen.items()
        },
        bias_corrections=corrections,
    )


class _Steps:
    """The float networks with what they saw; finds grids for groups of them."""

    def __init__(
        self,
        order: Sequence[int],
        nets: Sequence[Graph],
        fed: Sequence[Sequence[CalibrationBatch]],
        seen: Mapping[int, Calibration],
        recipe: PtqRecipe,
    ) -> None:
        self.order, self.nets, self.fed, self.seen = order, nets, fed, seen
        self.recipe = recipe
        self.ends = {spec.name: INPUT_LEVELS for spec in nets[0].inputs}
        self.bits = tensor_bits(nets[0], recipe.scheme)

    def group(self, number: int | None) -> Grouping:
        """Choose groups; with one asked for there is nothing to weigh."""
        count = len(self.order)
        if number == 1 or count == 1:
            return Grouping(groups=(0,) * count, costs=())
        if number == count:
            return Grouping(groups=tuple(range(count)), costs=())
        samples = self.samples(range(count), _WEIGHT_PIXELS)
        weights = [
            sensitivities(net, self.grids(step, step), batch)
            for step, (net, batch) in enumerate(zip(self.nets, samples, strict=True))
        ]
        histograms = [
            {name: one.histogram for name, one in self.seen[step].observers.items()}
            for step in self.order
        ]
        return choose_groups(group_costs(histograms, weights, self.grids), number=number)

    def grids_of(self, groups: Sequence[int]) -> list[Grids]:
        """Return the grids of every step, those of one group being the same object."""
        by_group: dict[int, Grids] = {}
        for group in dict.fromkeys(groups):
            steps = [step for step, number in enumerate(groups) if number == group]
            grids = self.grids(steps[0], steps[-1])
            if self.recipe.output_search:
                samples = self.samples(steps, _SEARCH_PIXELS)
                nets = [self.nets[step] for step in steps]
                observers = self.observers(steps[0], steps[-1])
                grids = search_ranges(nets, grids, observers, samples)
            by_group[group] = grids
        return self._with_one_output([by_group[group] for group in groups])

    def grids(self, first: int, last: int) -> dict[str, QParams]:
        """Return the grids of steps ``first`` to ``last`` as one group."""
        observers = self.observers(first, last)
        observed = {name: one.qparams(self.bits[name]) for name, one in observers.items()}
        grids = assign_qparams(self.nets[0], observed, ends=self.ends)
        if self.recipe.output_step:
            grids = share_output_step(self.nets[0], grids, observers)
        return grids

    def observers(self, first: int, last: int) -> dict[str, Observer]:
        """Return what steps ``first`` to ``last`` saw, together, by tensor."""
        steps = self.order[first : last + 1]
        found = [self.seen[step].observers for step in steps if step in self.seen]
        if not found:
            raise DataError(
                f"timesteps {', '.join(map(str, steps))} were not calibrated; take a set that "
                "holds every step, or one group"
            )
        if len(found) == 1:
            return dict(found[0])
        return {name: _together([one[name] for one in found]) for name in found[0]}

    def samples(self, steps: Sequence[int], pixels: int) -> list[CalibrationBatch]:
        """Return a few images for each of some steps, about ``pixels`` in all."""
        missing = [self.order[step] for step in steps if not self.fed[step]]
        if missing:
            raise DataError(
                f"timestep {missing[0]} was not calibrated, but the recipe fits weights or biases "
                "to what every step sees; take a set that holds every step"
            )
        return [some_of(self.fed[step], pixels // len(steps)) for step in steps]

    def _with_one_output(self, grids: list[Grids]) -> list[Grids]:
        """Put the output of all steps on one grid where that costs nothing."""
        name = self.nets[0].outputs[0]
        if len({id(grid) for grid in grids}) == 1:
            return grids
        shared = self.grids(0, len(self.order) - 1)[name]
        histograms = [self.seen[step].observers[name].histogram for step in self.order]
        own = sum(
            seen.mean_squared_error(grid[name])
            for seen, grid in zip(histograms, grids, strict=True)
        )
        one = sum(seen.mean_squared_error(shared) for seen in histograms)
        if one > TOLERANCE * own:
            return grids
        groups = shared_grids(self.nets[0])
        tensors = [tensor for tensor, group in groups.items() if group == groups[name]]
        made = {id(grid): {**grid, **dict.fromkeys(tensors, shared)} for grid in grids}
        return [made[id(grid)] for grid in grids]


def _by_step(
    graphs: Mapping[int, Graph], batches: Sequence[CalibrationBatch]
) -> list[list[CalibrationBatch]]:
    """Return the batches of every step, in the order of the steps."""
    if not graphs:
        raise DataError("there is no step to quantize; name one timestep at least")
    fed: dict[int, list[CalibrationBatch]] = {timestep: [] for timestep in graphs}
    for batch in batches:
        if batch.timestep not in fed:
            raise DataError(
                f"calibration holds a batch of timestep {batch.timestep}, want one of "
                f"{', '.join(map(str, fed))}; calibrate on the steps that are sampled"
            )
        fed[batch.timestep].append(batch)
    return list(fed.values())


def _calibrated(
    order: Sequence[int],
    nets: Sequence[Graph],
    fed: Sequence[Sequence[CalibrationBatch]],
    recipe: PtqRecipe,
) -> dict[int, Calibration]:
    bits = tensor_bits(nets[0], recipe.scheme)
    return {
        timestep: calibrate(net, batches, observer=recipe.observer, bits=bits)
        for timestep, net, batches in zip(order, nets, fed, strict=True)
        if batches
    }


def _together(observers: Sequence[Observer]) -> Observer:
    first = observers[0]
    if not isinstance(first, HistogramObserver):
        raise DataError(
            "ranges that follow the batches one after the other cannot be joined over steps; take "
            "another observer, such as percentile or minmax"
        )
    return first.joined(observers)
