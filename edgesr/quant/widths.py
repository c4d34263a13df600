"""How many bits every tensor and every layer of a graph has under a scheme.

Images keep 8 bits, in and out, and so does a residual that is added to the output: on a 4-bit grid
it alone would cost more than all layers together. The first and the last layer keep 8-bit weights.
Published low-bit networks leave these layers in float32.
"""

from edgesr.graph.graph import Graph
from edgesr.graph.ops import Add, Conv2D, DepthwiseConv2D, is_selection
from edgesr.quant.grids import shared_grids
from edgesr.quant.scheme import BITS, Scheme


def tensor_bits(graph: Graph, scheme: Scheme) -> dict[str, int]:
    """Return the width of every tensor's codes, by name; tensors that share a grid share it."""
    groups = shared_grids(graph)
    ends = end_groups(graph, groups)
    return {
        name: BITS if group in ends else scheme.activation_bits for name, group in groups.items()
    }


def layer_bits(graph: Graph, scheme: Scheme) -> dict[str, int]:
    """Return the width of every layer's weights, by name."""
    groups = shared_grids(graph)
    ends = end_groups(graph, groups)
    layers = [op for op in graph.ops if isinstance(op, (Conv2D, DepthwiseConv2D))]
    return {
        op.name: BITS
        if is_selection(op) or {groups[op.inputs[0]], groups[op.output]} & ends
        else scheme.weight_bits
        for op in layers
    }


def end_groups(graph: Graph, groups: dict[str, str]) -> set[str]:
    """Return the groups of images, of their copies, and of what is added to the output.

    Args:
        graph: lowered graph.
        groups: what ``shared_grids`` gives.
    """
    ends = {groups[name] for name in (*(spec.name for spec in graph.inputs), *graph.outputs)}
    for op in graph.ops:
        if is_selection(op) and groups[op.inputs[0]] in ends:
            ends.add(groups[op.output])
    for op in reversed(graph.ops):
        if isinstance(op, Add) and groups[op.output] in ends:
            ends |= {groups[name] for name in op.inputs}
    return ends
