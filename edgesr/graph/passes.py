"""Bring a captured graph into the form that a .tflite file holds.

Every pass takes a graph and returns an equal one: same outputs for same inputs, up to float32
rounding. ``lower`` runs them in order.
"""

from dataclasses import replace

from edgesr.errors import GraphError
from edgesr.graph.channel_order import expand_pixel_shuffles, expand_resizes, settle_gathers
from edgesr.graph.fold import fold_affines, fold_pads, merge_branches
from edgesr.graph.graph import Graph, num_readers, producers, rewired, with_ops
from edgesr.graph.ops import (
    Activation,
    Add,
    ChannelAffine,
    ChannelGather,
    Clip,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Relu,
    Relu6,
)


def lower(graph: Graph) -> Graph:
    """Fold, fuse and reorder until only operations that a .tflite file holds are left.

    Raises:
        GraphError: a batch norm, mean shift or channel order cannot be folded away.
    """
    for run_pass in PASSES:
        graph = run_pass(graph)
    for op in graph.ops:
        if isinstance(op, (ChannelAffine, ChannelGather)):
            raise GraphError(
                f"layer {op.name}: {type(op).__name__} cannot be folded into a convolution; "
                "put it directly behind or before a Conv2d without activation between"
            )
    return graph


def fuse_activations(graph: Graph) -> Graph:
    """Move ReLU and ReLU6 into the convolution or ADD whose only reader they are."""
    made_by, readers = producers(graph), num_readers(graph)
    ops: dict[str, Op] = {op.output: op for op in graph.ops}
    for op in graph.ops:
        if not isinstance(op, (Relu, Relu6)):
            continue
        source = made_by.get(op.inputs[0])
        if not isinstance(source, (Conv2D, DepthwiseConv2D, Add)):
            continue
        if source.activation == "none" and readers[source.output] == 1:
            activation: Activation = "relu" if isinstance(op, Relu) else "relu6"
            del ops[source.output]
            ops[op.output] = replace(source, activation=activation, output=op.output)
    return with_ops(graph, ops.values())


def clip_before_depth_to_space(graph: Graph) -> Graph:
    """Swap a clip behind DEPTH_TO_SPACE with it: the clip then works on the smaller rows."""
    made_by, readers = producers(graph), num_readers(graph)
    ops: dict[str, Op] = {op.output: op for op in graph.ops}
    for op in graph.ops:
        source = made_by.get(op.inputs[0])
        if not isinstance(op, (Clip, Relu, Relu6)) or not isinstance(source, DepthToSpace):
            continue
        if readers[source.output] == 1:
            ops[source.output] = replace(op, inputs=source.inputs, output=source.output)
            ops[op.output] = replace(source, inputs=(source.output,), output=op.output)
    return with_ops(graph, ops.values())


def drop_clip(graph: Graph, *, low: float, high: float) -> Graph:
    """Remove a clip to ``[low, high]`` in front of the output, where saturation does the same.

    The caller stores the output on a grid that ends at ``low`` and ``high``. A clip that can only
    widen that range is removed as well; one inside it stays.
    """
    made_by = producers(graph)
    name = graph.outputs[0]
    while isinstance(made_by.get(name), DepthToSpace):
        name = made_by[name].inputs[0]
    clip = made_by.get(name)
    if not isinstance(clip, Clip) or clip.low > low or clip.high < high:
        return graph
    kept = [rewired(op, {clip.output: clip.inputs[0]}) for op in graph.ops if op is not clip]
    if clip.output not in graph.outputs:
        return with_ops(graph, kept)
    source = made_by.get(clip.inputs[0])
    if source is None or num_readers(graph)[source.output] != 1:
        return graph
    renamed = [replace(op, output=clip.output) if op is source else op for op in kept]
    return with_ops(graph, renamed)


def name_tensors(graph: Graph) -> Graph:
    """Name every tensor after the layer that makes it; inputs and outputs keep their names."""
    kept = {*(spec.name for spec in graph.inputs), *graph.outputs}
    names = {op.output: op.name for op in graph.ops if op.output not in kept}
    ops = [replace(rewired(op, names), output=names.get(op.output, op.output)) for op in graph.ops]
    return replace(graph, ops=tuple(ops))


PASSES = (
    fold_affines,
    expand_pixel_shuffles,
    expand_resizes,
    clip_before_depth_to_space,
    settle_gathers,
    fold_pads,
    merge_branches,
    fuse_activations,
    name_tensors,
)
