"""Cross-layer equalization: channels of one tensor brought to one range, the network unchanged.

One grid covers all channels of a tensor, so a channel that never gets far uses few of its codes.
Between two convolutions with a ReLU, or nothing, channel ``i`` can be divided by ``k_i`` in the
first and multiplied by it in the second. Weights have a scale per channel and do not mind.

Source: Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias
Correction", arXiv 1906.04721, section 4.1; with ranges of activations here instead of weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph, num_readers
from edgesr.graph.ops import Conv2D, Op, is_selection
from edgesr.quant.calibrate import CalibrationBatch

LARGEST_FACTOR = 8.0
_LEAST_SHARE = 1e-3


def equalize(graph: Graph, batches: Iterable[CalibrationBatch]) -> Graph:
    """Return ``graph`` with the channels between consecutive convolutions equalized.

    Factors are within 1/8 and 8. Channels that are dead keep what they have. Tensors with several
    readers, and those behind a ReLU6, are left alone: they are not homogeneous or not private.
    """
    return equalize_together([graph], [batches])[0]


def equalize_together(
    graphs: Sequence[Graph], batches: Sequence[Iterable[CalibrationBatch]]
) -> list[Graph]:
    """Do so for graphs that differ in scales and shifts alone, with the same factors in all.

    Args:
        graphs: of one structure, such as a denoiser at several timesteps.
        batches: what each is fed.
    """
    pairs = private_pairs(graphs[0])
    largest = channel_maxima(graphs, batches, pairs)
    factors = {name: _factors(largest[name]) for name in pairs}
    return [divided(graph, pairs, factors) for graph in graphs]


def channel_maxima(
    graphs: Sequence[Graph],
    batches: Sequence[Iterable[CalibrationBatch]],
    tensors: Iterable[str],
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the largest size of every channel of some tensors over all graphs, by tensor.

    Args:
        graphs: of one structure.
        batches: what each is fed.
        tensors: names.
    """
    wanted = set(tensors)
    largest: dict[str, Tensor] = {}

    def observe(name: str, values: Tensor) -> None:
        if name in wanted:
            found = values.abs().amax(dim=(0, 2, 3))
            largest[name] = torch.maximum(largest.get(name, found), found)

    for graph, fed in zip(graphs, batches, strict=True):
        for batch in fed:
            execute(graph, batch.inputs.to(torch.float32), observe=observe)
    return {name: found.double().numpy() for name, found in largest.items()}


def divided(
    graph: Graph,
    pairs: Mapping[str, tuple[str, str]],
    by: Mapping[str, npt.NDArray[np.float64]],
) -> Graph:
    """Return an equal graph, borders included, with the channels of tensors divided.

    Args:
        graph: lowered graph.
        pairs: makers and readers of the tensors, from ``private_pairs``.
        by: positive factors of every channel, by tensor.
    """
    ops: dict[str, Op] = {op.name: op for op in graph.ops}
    for tensor, (first, second) in pairs.items():
        factors = by[tensor]
        before, after = ops[first], ops[second]
        assert isinstance(before, Conv2D)  # noqa: S101 - pairs holds nothing else
        assert isinstance(after, Conv2D)  # noqa: S101
        ops[first] = replace(
            before,
            weight=(before.weight / factors[:, None, None, None]).astype(np.float32),
            bias=(before.bias / factors).astype(np.float32),
        )
        ops[second] = replace(after, weight=(after.weight * factors).astype(np.float32))
    return replace(graph, ops=tuple(ops[op.name] for op in graph.ops))


def private_pairs(graph: Graph) -> dict[str, tuple[str, str]]:
    """Return by tensor the names of the convolutions that make it and that alone read it."""
    readers = num_readers(graph)
    made_by = {
        op.output: op
        for op in graph.ops
        if isinstance(op, Conv2D) and not is_selection(op) and op.activation != "relu6"
    }
    return {
        op.inputs[0]: (made_by[op.inputs[0]].name, op.name)
        for op in graph.ops
        if isinstance(op, Conv2D)
        and not is_selection(op)
        and op.inputs[0] in made_by
        and readers[op.inputs[0]] == 1
    }


def _factors(largest: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what to divide every channel by: its maximum over the geometric mean of all."""
    alive = largest > _LEAST_SHARE * largest.max()
    if not alive.any():
        return np.ones_like(largest)
    middle = np.exp(np.log(largest[alive]).mean())
    factors = np.where(alive, largest / middle, 1.0)
    return factors.clip(1.0 / LARGEST_FACTOR, LARGEST_FACTOR)
