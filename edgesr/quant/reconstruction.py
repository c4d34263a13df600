"""Learn how weights are rounded, a few layers at a time, so that their output stays what it was.

Each block reads what the quantized layers before it really give, element by element mixed with the
float network's values, and is trained to give the float network's output.

Source: Nagel et al. 2020 (AdaRound, arXiv 2004.10568) for one layer at a time; Li et al. 2021
(BRECQ, arXiv 2102.05426, section 3.2) for blocks and for learning the scales of activations in
them; Wei et al. 2022 (QDrop, arXiv 2203.05740, eq. 8) for mixing the inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgesr.graph.execute import apply
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, Op, is_selection
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.qat import QatNetwork
from edgesr.quant.scheme import BITS, QuantizedGraph
from edgesr.quant.soft_rounding import SoftRoundedLayer

_BATCH = 8
_MIX = 0.5
_WARM_UP = 0.2
_INDECISION = 0.01
_FIRST_BETA, _LAST_BETA = 20.0, 2.0
_ROUNDING_RATE = 3e-2
_SCALE_RATE = 1e-3
_SEED = 0

Values = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Consecutive operations.

    Attributes:
        ops: in order of execution.
        layers: names of those whose rounding is learned.
    """

    ops: tuple[Op, ...]
    layers: tuple[str, ...]

    @property
    def output(self) -> str:
        """Name of the tensor that is reconstructed: the last one."""
        return self.ops[-1].output


def blocks_of(graph: Graph, *, layers: int) -> list[Block]:
    """Cut ``graph`` into blocks of ``layers`` trained layers; what follows the last joins it."""
    blocks: list[Block] = []
    ops: list[Op] = []
    for op in graph.ops:
        ops.append(op)
        if len(_trained(ops)) == layers:
            blocks.append(Block(ops=tuple(ops), layers=_trained(ops)))
            ops = []
    if ops and (_trained(ops) or not blocks):
        blocks.append(Block(ops=tuple(ops), layers=_trained(ops)))
    elif ops:
        blocks[-1] = Block(ops=(*blocks[-1].ops, *ops), layers=blocks[-1].layers)
    return blocks


def reconstruct(
    quantized: QuantizedGraph, batch: CalibrationBatch, *, layers: int, iterations: int
) -> QuantizedGraph:
    """Return ``quantized`` with weights rounded by reconstruction of its blocks.

    Scales of weights stay; those of activations below 8 bits are learned where a block has several
    layers.

    Args:
        quantized: graph with its float weights.
        batch: images to reconstruct on, all of one size.
        layers: trained layers a block; 1 is AdaRound.
        iterations: steps of Adam a block.
    """
    graph = quantized.graph
    network = QatNetwork(quantized, weight_scales="max")
    for op in graph.ops:
        if isinstance(op, (Conv2D, DepthwiseConv2D)) and not is_selection(op):
            start = quantized.weights[op.name]
            soft = SoftRoundedLayer(op, start, torch.from_numpy(op.bias))
            network.replace_layer(op.name, soft)
    name = graph.inputs[0].name
    floats: Values = {name: batch.inputs.permute(0, 3, 1, 2).float()}
    steps: Values = {name: (floats[name] / network.scale(name)).round()}
    random = torch.Generator().manual_seed(_SEED)
    blocks = blocks_of(graph, layers=layers)
    for number, block in enumerate(blocks):
        with torch.no_grad():
            for op in block.ops:
                floats[op.output] = apply(op, floats)
        _train(network, block, floats, steps, iterations=iterations, random=random)
        with torch.no_grad():
            network.eval()
            network.run(block.ops, steps)
        later = {
            tensor for after in blocks[number + 1 :] for op in after.ops for tensor in op.inputs
        }
        floats = {tensor: value for tensor, value in floats.items() if tensor in later}
        steps = {tensor: value for tensor, value in steps.items() if tensor in later}
    return network.to_quantized()


def _train(  # noqa: PLR0913 - what a block is trained with
    network: QatNetwork,
    block: Block,
    floats: Mapping[str, Tensor],
    steps: Mapping[str, Tensor],
    *,
    iterations: int,
    random: torch.Generator,
) -> None:
    if not block.layers:
        return
    network.train()
    soft = [
        layer for layer in map(network.layer, block.layers) if isinstance(layer, SoftRoundedLayer)
    ]
    groups = [{"params": [layer.logit for layer in soft], "lr": _ROUNDING_RATE}]
    learned = _narrow_scales(network, block)
    if learned and len(block.layers) > 1:
        groups.append({"params": learned, "lr": _SCALE_RATE})
    optimizer = torch.optim.Adam(groups)
    sources = _sources(block)
    target = floats[block.output]
    warm_up = int(_WARM_UP * iterations)
    for iteration in range(iterations):
        chosen = torch.randint(len(target), (min(_BATCH, len(target)),), generator=random)
        values = {
            name: _mixed(steps[name][chosen], floats[name][chosen] / network.scale(name), random)
            for name in sources
        }
        network.run(block.ops, values)
        unit = network.scale(block.output)
        error = values[block.output] - target[chosen] / unit
        loss = error.square().sum(dim=1).mean()
        if iteration >= warm_up:
            passed = (iteration - warm_up) / max(1, iterations - warm_up)
            beta = _LAST_BETA + (_FIRST_BETA - _LAST_BETA) * (1.0 - passed)
            loss = loss + _INDECISION * sum(layer.indecision(beta) for layer in soft)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for layer in soft:
        layer.hard = True


def _mixed(steps: Tensor, floats: Tensor, random: torch.Generator) -> Tensor:
    """Take every element from one of two tensors. Source: arXiv 2203.05740, eq. 8."""
    return torch.where(torch.rand(steps.shape, generator=random) < _MIX, steps, floats)


def _sources(block: Block) -> list[str]:
    made = {op.output for op in block.ops}
    return sorted({name for op in block.ops for name in op.inputs} - made)


def _narrow_scales(network: QatNetwork, block: Block) -> list[torch.nn.Parameter]:
    """Return the parameters of the scales below 8 bits that the block makes."""
    groups = {
        network.group_of[op.output]
        for op in block.ops
        if network.quantized.qparams[op.output].bits < BITS
    }
    return [network.gains[group] for group in sorted(groups) if network.learned[group]]


def _trained(ops: Sequence[Op]) -> tuple[str, ...]:
    return tuple(
        op.name for op in ops if isinstance(op, (Conv2D, DepthwiseConv2D)) and not is_selection(op)
    )
