"""What every layer's precision costs in the output, measured one at a time.

All but the one thing that is measured is in float32. Then every measurement is that thing's error
alone, and the errors of an assignment add up as long as they are small and independent; measured
among 8-bit neighbours, each would hold their error once more.

A layer's weights and the tensor that it reads are measured apart and added: a tensor that several
layers read is rounded once, and its error must count once. MixDQ separates the layers that change
an image's content from those that change its quality and solves two programs; a super-resolution
network takes its content from the low-resolution image, so there is one measure here.

Source: Zhao et al. 2024 (MixDQ), arXiv 2405.17873, section on metric-decoupled sensitivity, and its
integer program; the separation of weights and activations is theirs, the squared error is ours.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from edgesr.graph.execute import apply, convolve
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Op, WeightedOp
from edgesr.quant.mixed import Assignment, everywhere, slots, trained, width_groups
from edgesr.quant.mixed_ptq import Prepared, quantize_assigned
from edgesr.quant.output_search import all_values
from edgesr.quant.scheme import BITS, QParams, QuantizedGraph, QuantizedWeight, Scheme
from edgesr.quant.simulate import simulate
from edgesr.quant.weights import channel_axis

Errors = dict[str, dict[int, float]]


@dataclass(frozen=True, kw_only=True)
class Sensitivities:
    """Mean squared errors of the output, in its own units squared, mean over networks.

    Attributes:
        weights: by layer and width of its weights.
        tensors: by group of tensors and their width.
        readers: number of layers that read a group.
        fixed: of all tensors together that keep 8 bits, images and output included.
    """

    weights: Mapping[str, Mapping[int, float]]
    tensors: Mapping[str, Mapping[int, float]]
    readers: Mapping[str, int]
    fixed: float

    def of(self, layer: str, group: str | None, scheme: Scheme) -> float:
        """Return the error of one layer in one scheme.

        The error of a tensor is divided among the layers that read it.
        """
        error = self.weights[layer][scheme.weight_bits]
        if group is None:
            return error
        return error + self.tensors[group][scheme.activation_bits] / self.readers[group]

    def predicted(self, graph: Graph, assignment: Assignment) -> float:
        """Return the sum of all errors under an assignment."""
        layers = [self.of(one.name, one.group, assignment[one.name]) for one in slots(graph)]
        return self.fixed + sum(layers)


def measure_sensitivities(prepared: Prepared, schemes: Sequence[Scheme]) -> Sensitivities:
    """Measure every layer's weights and every tensor at the widths of some schemes.

    Args:
        prepared: networks, images and the grids of these widths.
        schemes: whose widths are measured.
    """
    first = prepared.graphs[0]
    groups = width_groups(first)
    weight_widths = sorted({scheme.weight_bits for scheme in schemes})
    tensor_widths = sorted({scheme.activation_bits for scheme in schemes})
    rounded = {
        width: quantize_assigned(
            prepared,
            everywhere(first, Scheme(weight_bits=width, activation_bits=BITS)),
            corrected=False,
        )
        for width in weight_widths
    }
    layers: Errors = {op.name: dict.fromkeys(weight_widths, 0.0) for op in trained(first)}
    tensors: Errors = {one: dict.fromkeys(tensor_widths, 0.0) for one in set(groups.values())}
    fixed = 0.0
    count = len(prepared.graphs)
    for number, graph in enumerate(prepared.graphs):
        values = all_values(graph, prepared.samples[number])
        run = _Run(graph, values, prepared.grids[number][BITS])
        for width, quantized in rounded.items():
            for op in trained(graph):
                changed = run.with_weights(op, quantized[number].weights[op.name])
                layers[op.name][width] += run.error(layers={op.name: changed}) / count
        for width in tensor_widths:
            grids = prepared.grids[number][width]
            for group, errors in tensors.items():
                members = {name: grids[name] for name, one in groups.items() if one == group}
                errors[width] += run.error(grids=members) / count
        kept = {name: one for name, one in run.eight.items() if name not in groups}
        fixed += run.error(grids=kept) / count
    readers = Counter(one.group for one in slots(first) if one.group is not None)
    return Sensitivities(weights=layers, tensors=tensors, readers=dict(readers), fixed=fixed)


@torch.no_grad()
def measured_error(prepared: Prepared, quantized: Sequence[QuantizedGraph]) -> float:
    """Return the mean squared error of the integers' output on the prepared images.

    Output range and units are those of ``Sensitivities``.

    Args:
        prepared: float networks and images.
        quantized: integers of each.
    """
    total = 0.0
    for graph, sample, integers in zip(prepared.graphs, prepared.samples, quantized, strict=True):
        name = integers.graph.outputs[0]
        source, target = integers.qparams[graph.inputs[0].name], integers.qparams[name]
        codes = (sample.inputs.float() / float(source.scale)).round() + source.zero_point
        codes = codes.clamp(source.code_min, source.code_max).to(torch.int8)
        found = simulate(integers, codes).double() - target.zero_point
        wanted = all_values(graph, sample)[graph.outputs[0]].permute(0, 2, 3, 1).double()
        error = found * float(target.scale) - wanted.clamp(target.low, target.high)
        total += float(error.square().mean())
    return total / len(quantized)


class _Run:
    """A float network with all its values on some images; changes are run through it."""

    def __init__(
        self, graph: Graph, values: Mapping[str, Tensor], eight: Mapping[str, QParams]
    ) -> None:
        self.graph, self.values, self.eight = graph, values, eight
        self._range = eight[graph.outputs[0]]

    def error(
        self,
        *,
        layers: Mapping[str, Op] | None = None,
        grids: Mapping[str, QParams] | None = None,
    ) -> float:
        """Return the output's error with some layers replaced and some tensors on grids."""
        layers, grids = layers or {}, grids or {}
        changed = {
            spec.name: _placed(self.values[spec.name], grids[spec.name])
            for spec in self.graph.inputs
            if spec.name in grids
        }
        for op in self.graph.ops:
            touched = op.name in layers or op.output in grids
            if not touched and not any(name in changed for name in op.inputs):
                continue
            read = {name: changed.get(name, self.values[name]) for name in op.inputs}
            value = apply(layers.get(op.name, op), read)
            grid = grids.get(op.output)
            changed[op.output] = value if grid is None else _placed(value, grid)
        name = self.graph.outputs[0]
        low, high = self._range.low, self._range.high
        wanted = self.values[name].clamp(low, high)
        found = changed.get(name, self.values[name]).clamp(low, high)
        return float((found - wanted).square().mean(dtype=torch.float64))

    def with_weights(self, op: WeightedOp, weight: QuantizedWeight) -> WeightedOp:
        """Return a layer with the weights that its integers stand for, its mean error taken out."""
        shape = [1] * weight.values.ndim
        shape[channel_axis(op)] = -1
        real = (weight.values * weight.scales.reshape(shape)).astype(np.float32)
        values = self.values[op.inputs[0]]
        error = convolve(op, values, torch.from_numpy(real - op.weight), None)
        shift = error.mean(dim=(0, 2, 3), dtype=torch.float64).numpy()
        return replace(op, weight=real, bias=(op.bias - shift).astype(np.float32))


def _placed(values: Tensor, grid: QParams) -> Tensor:
    steps = (values / float(grid.scale)).round()
    steps = steps.clamp(grid.code_min - grid.zero_point, grid.code_max - grid.zero_point)
    return steps * float(grid.scale)
