"""Fold what has no operation of its own in a .tflite file into the convolutions."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgesr.graph.graph import Graph, num_readers, producers, rewired, with_ops
from edgesr.graph.ops import (
    Add,
    ChannelAffine,
    Conv2D,
    DepthwiseConv2D,
    Op,
    Pad,
    WeightedOp,
)


def fold_affines(graph: Graph) -> Graph:
    """Fold batch norms and scalings into the convolution before them, else the one behind.

    A shift in front of a convolution folds only where the convolution pads no zeros: behind a
    padded one the border would change. What cannot be folded stays for ``lower`` to refuse.
    """
    while True:
        for op in graph.ops:
            if isinstance(op, ChannelAffine):
                folded = _into_producer(graph, op) or _into_reader(graph, op)
                if folded is not None:
                    graph = folded
                    break
        else:
            return graph


def fold_pads(graph: Graph) -> Graph:
    """Turn zero padding and an unpadded convolution with step 1 into one ``same`` convolution."""
    made_by = producers(graph)
    ops: list[Op] = []
    for op in graph.ops:
        pad = made_by.get(op.inputs[0])
        if (
            isinstance(op, (Conv2D, DepthwiseConv2D))
            and isinstance(pad, Pad)
            and op.padding == "valid"
            and op.stride == (1, 1)
            and pad.before == pad.after
            and tuple(2 * side + 1 for side in pad.before) == op.weight.shape[1:3]
        ):
            ops.append(replace(op, inputs=pad.inputs, padding="same"))
        else:
            ops.append(op)
    return with_ops(graph, ops)


def merge_branches(graph: Graph) -> Graph:
    """Merge two convolutions of one tensor whose sum is taken into one (re-parameterisation)."""
    while True:
        made_by, readers = producers(graph), num_readers(graph)
        for op in graph.ops:
            if not isinstance(op, Add):
                continue
            first, second = (made_by.get(name) for name in op.inputs)
            if not isinstance(first, Conv2D) or not isinstance(second, Conv2D):
                continue
            if readers[first.output] == readers[second.output] == 1 and _mergeable(first, second):
                merged = _merged(first, second, op)
                kept = [one for one in graph.ops if one not in {first, second, op}]
                graph = with_ops(graph, [*kept, merged])
                break
        else:
            return graph


def _into_producer(graph: Graph, affine: ChannelAffine) -> Graph | None:
    source = producers(graph).get(affine.inputs[0])
    if not isinstance(source, (Conv2D, DepthwiseConv2D)) or source.activation != "none":
        return None
    if num_readers(graph)[source.output] != 1:
        return None
    gain = affine.gain.astype(np.float64)
    column = gain if isinstance(source, DepthwiseConv2D) else gain[:, None, None, None]
    bias = source.bias * gain + affine.shift
    folded = _reweighted(source, source.weight * column, bias)
    folded = replace(folded, output=affine.output)
    kept = [op for op in graph.ops if op is not affine and op is not source]
    return with_ops(graph, [*kept, folded])


def _into_reader(graph: Graph, affine: ChannelAffine) -> Graph | None:
    found = [op for op in graph.ops if affine.output in op.inputs]
    if affine.output in graph.outputs or not found:
        return None
    replaced: dict[str, Op] = {}
    for op in found:
        if not isinstance(op, (Conv2D, DepthwiseConv2D)):
            return None
        kernel = op.weight.shape[1:3]
        if affine.shift.any() and op.padding == "same" and kernel != (1, 1):
            return None
        weight = op.weight.astype(np.float64)
        shifted = weight * affine.shift
        axes = (0, 1, 2) if isinstance(op, DepthwiseConv2D) else (1, 2, 3)
        replaced[op.output] = _reweighted(
            op, weight * affine.gain, op.bias + shifted.sum(axis=axes)
        )
    names = {affine.output: affine.inputs[0]}
    ops = [rewired(replaced.get(op.output, op), names) for op in graph.ops if op is not affine]
    return with_ops(graph, ops)


def _reweighted(
    op: WeightedOp, weight: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]
) -> WeightedOp:
    return replace(op, weight=weight.astype(np.float32), bias=bias.astype(np.float32))


def _mergeable(first: Conv2D, second: Conv2D) -> bool:
    odd = all(size % 2 for conv in (first, second) for size in conv.weight.shape[1:3])
    return (
        odd
        and first.inputs == second.inputs
        and first.stride == second.stride == (1, 1)
        and first.padding == second.padding == "same"
        and first.activation == second.activation == "none"
    )


def _merged(first: Conv2D, second: Conv2D, add: Add) -> Conv2D:
    height, width = np.maximum(first.weight.shape[1:3], second.weight.shape[1:3])
    weight = sum(_grown(conv.weight, int(height), int(width)) for conv in (first, second))
    larger = first if first.weight.size >= second.weight.size else second
    return replace(
        larger,
        output=add.output,
        weight=np.asarray(weight, np.float32),
        bias=first.bias + second.bias,
        activation=add.activation,
    )


def _grown(weight: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    rows, columns = (height - weight.shape[1]) // 2, (width - weight.shape[2]) // 2
    return np.pad(weight, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
