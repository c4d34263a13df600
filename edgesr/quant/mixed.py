"""Mixed precision: every layer its own widths of weights and of the tensor that it reads.

The unit is a trained convolution with its input. A tensor has one grid whoever reads it, so layers
that read one tensor, or tensors that share a grid, take one width of activations. Images and what
is added to the output keep 8 bits in every assignment, and so do tensors that only an ADD reads.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgesr.errors import DataError, GraphError
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp, is_selection
from edgesr.graph.shapes import infer_shapes
from edgesr.quant.grids import shared_grids
from edgesr.quant.scheme import BITS, INT8, SCHEMES, QuantizedGraph, Scheme
from edgesr.quant.widths import end_groups

Assignment = Mapping[str, Scheme]
"""Precision by trained layer: widths of its weights and of the tensor that it reads."""

CANDIDATES = ("wi8_ai8", "wi8_ai16", "wi4_ai8", "wi6_ai6")
"""Schemes that a layer may take unless others are named."""

MAC_SIDE = 64
"""Side in low-resolution pixels of the image that MACs are counted for."""

_NAMED = 3
"""Layers that a refusal names."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A layer that takes a precision.

    Attributes:
        name: of the layer.
        weights: numbers in its weight, bias not counted.
        macs: multiply-accumulates for a low-resolution image of ``MAC_SIDE`` pixels a side.
        group: tensors that have one width, of which the layer reads one; None where the layer reads
            an image, which has 8 bits.
    """

    name: str
    weights: int
    macs: int
    group: str | None


def slots(graph: Graph) -> tuple[Slot, ...]:
    """Return the layers of a lowered graph that take a precision, in execution order.

    Convolutions that only copy channels take none: their weights are 0 and 1.
    """
    shapes = infer_shapes(graph, MAC_SIDE, MAC_SIDE)
    groups = width_groups(graph)
    return tuple(
        Slot(
            name=op.name,
            weights=op.weight.size,
            macs=shapes[op.output][0] * shapes[op.output][1] * op.weight.size,
            group=groups.get(op.inputs[0]),
        )
        for op in trained(graph)
    )


def trained(graph: Graph) -> list[WeightedOp]:
    """Return the convolutions with trained weights, in execution order."""
    return [
        op for op in graph.ops if isinstance(op, (Conv2D, DepthwiseConv2D)) and not is_selection(op)
    ]


def width_groups(graph: Graph) -> dict[str, str]:
    """Return for every tensor whose width can be chosen a name of those that share it."""
    groups = shared_grids(graph)
    ends = end_groups(graph, groups)
    # a channel copy is on the grid of what it copies
    for op in graph.ops:
        if is_selection(op) and not {groups[op.output], groups[op.inputs[0]]} & ends:
            copied, source = groups[op.output], groups[op.inputs[0]]
            groups = {name: source if one == copied else one for name, one in groups.items()}
    read = {groups[op.inputs[0]] for op in trained(graph)}
    return {name: one for name, one in groups.items() if one in read - ends}


def choices(graph: Graph, names: Sequence[str] = CANDIDATES) -> dict[str, tuple[Scheme, ...]]:
    """Return the schemes that every layer may take; of a layer on an image those with 8 bits.

    Args:
        graph: lowered graph.
        names: keys of ``SCHEMES``.

    Raises:
        DataError: no such scheme, or none for layers that read an image.
    """
    unknown = [name for name in names if name not in SCHEMES]
    if unknown or not names:
        raise DataError(
            f"candidates {' '.join(names) or 'are missing'}: want some of {', '.join(SCHEMES)}"
        )
    schemes = tuple(SCHEMES[name] for name in dict.fromkeys(names))
    eight = tuple(scheme for scheme in schemes if scheme.activation_bits == BITS)
    found = {one.name: eight if one.group is None else schemes for one in slots(graph)}
    if not eight:
        layer = next((one.name for one in slots(graph) if one.group is None), "")
        raise DataError(
            f"candidates {' '.join(names)}: layer {layer} reads an image, which has 8 bits; add "
            "one with 8-bit activations, such as wi8_ai8"
        )
    return found


def assigned_tensor_bits(graph: Graph, assignment: Assignment) -> dict[str, int]:
    """Return the width of every tensor's codes.

    Raises:
        GraphError: layers that read one grid want different widths of it.
    """
    widths: dict[str, tuple[int, str]] = {}
    for one in slots(graph):
        if one.group is None:
            continue
        bits = assignment[one.name].activation_bits
        known, first = widths.setdefault(one.group, (bits, one.name))
        if known != bits:
            raise GraphError(
                f"{graph.name}: layers {first} and {one.name} read one grid with {known} and "
                f"{bits} bits; give both one width"
            )
    groups = width_groups(graph)
    names = [*(spec.name for spec in graph.inputs), *(op.output for op in graph.ops)]
    return {name: widths[groups[name]][0] if name in groups else BITS for name in names}


def assigned_layer_bits(graph: Graph, assignment: Assignment) -> dict[str, int]:
    """Return the width of every layer's weights; channel copies have 8 bits."""
    return {
        op.name: assignment[op.name].weight_bits if op.name in assignment else BITS
        for op in graph.ops
        if isinstance(op, (Conv2D, DepthwiseConv2D))
    }


def everywhere(graph: Graph, scheme: Scheme) -> dict[str, Scheme]:
    """Return the assignment of one scheme to all layers, 8 bits where an image is read."""
    image = Scheme(weight_bits=scheme.weight_bits, activation_bits=BITS)
    return {one.name: image if one.group is None else scheme for one in slots(graph)}


def assignment_of(quantized: QuantizedGraph) -> dict[str, Scheme]:
    """Return the precision that every trained layer has."""
    return {
        op.name: Scheme(
            weight_bits=quantized.weights[op.name].bits,
            activation_bits=quantized.qparams[op.inputs[0]].bits,
        )
        for op in trained(quantized.graph)
    }


def to_text(assignment: Assignment) -> str:
    """Return an assignment as the text that files keep: JSON, scheme by layer."""
    return json.dumps({name: scheme.name for name, scheme in assignment.items()})


def from_text(text: str, graph: Graph) -> dict[str, Scheme]:
    """Read an assignment back.

    Raises:
        GraphError: it is no assignment of the layers of ``graph``.
    """
    try:
        found = {name: SCHEMES[scheme] for name, scheme in json.loads(text).items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise GraphError(
            f"{graph.name}: its precisions by layer are damaged ({error!r})"
        ) from error
    wanted = {op.name for op in trained(graph)}
    if set(found) != wanted:
        raise GraphError(
            f"{graph.name}: has precisions for {len(found)} layers, want one for each of "
            f"{len(wanted)}"
        )
    return found


def refusal(quantized: QuantizedGraph) -> str | None:
    """Say why no file holds these integers; None where ``edgesr export`` writes them."""
    found = {
        name: (scheme.weight_bits, scheme.activation_bits)
        for name, scheme in assignment_of(quantized).items()
    }
    others = {name: widths for name, widths in found.items() if widths != (BITS, BITS)}
    if not others:
        return None
    count = Counter(found.values())
    named = [f"{name} W{w}A{a}" for name, (w, a) in list(others.items())[:_NAMED]]
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    kinds = ", ".join(f"{number} of W{w}A{a}" for (w, a), number in count.most_common())
    return (
        f"mixed precision ({kinds}) is simulated only: {', '.join(named)}{more}; files have "
        "W8A8 in all layers (--precision int8) or 16-bit activations in all (--precision "
        "int16x8): export the float network as one of these, or assign with --candidates "
        f"{INT8.name}"
    )
