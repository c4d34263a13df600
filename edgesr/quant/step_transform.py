"""Learned equalization of the channels between convolutions, for all steps of a denoiser at once.

The channels of a tensor between two convolutions are divided by factors in the first and multiplied
in the second, which changes nothing in float, borders included. ``edgesr.quant.equalize`` knows a
closed form; here the factors are learned from the quantized prediction's error.

Source: Zhu et al. 2025 (PassionSR), arXiv 2411.17106, section 3.3 (learnable equivalent
transformation): its scales, folded into the layers; its offsets depend on the border and are left
out.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.equalize import LARGEST_FACTOR, channel_maxima, divided, private_pairs
from edgesr.quant.qat_layer import QatLayer
from edgesr.quant.step_qat import StepsQat

_EXPONENT = 0.3
_LEAST = 1e-6

Factors = dict[str, npt.NDArray[np.float64]]


def start_transform(
    graphs: Sequence[Graph], batches: Sequence[Iterable[CalibrationBatch]]
) -> list[Graph]:
    """Return the graphs with the channels divided as learning starts: ``(max|x| / max|w|) ** 0.3``.

    Args:
        graphs: float networks of all steps, of one structure.
        batches: what each is fed.
    """
    pairs = private_pairs(graphs[0])
    readers = {op.name: op for op in graphs[0].ops if isinstance(op, Conv2D)}
    largest = channel_maxima(graphs, batches, pairs)
    factors: Factors = {}
    for tensor, (_, second) in pairs.items():
        weights = np.abs(readers[second].weight).max(axis=(0, 1, 2)).astype(np.float64)
        ratio = np.maximum(largest[tensor], _LEAST) / np.maximum(weights, _LEAST)
        alive = (largest[tensor] > _LEAST) & (weights > _LEAST)
        grown = np.where(alive, ratio**_EXPONENT, 1.0)
        middle = np.exp(np.log(grown[alive]).mean()) if alive.any() else 1.0
        found = np.where(alive, grown / middle, 1.0)
        factors[tensor] = found.clip(1.0 / LARGEST_FACTOR, LARGEST_FACTOR)
    return [divided(graph, pairs, factors) for graph in graphs]


class LearnedTransform:
    """Puts learned factors between the convolutions of ``pupil`` and freezes all else in it.

    Scales of weights follow the weights' largest values; grids of activations stay as they are.

    Args:
        pupil: the steps; changed in place.
    """

    def __init__(self, pupil: StepsQat) -> None:
        for parameter in pupil.parameters():
            parameter.requires_grad_(False)  # noqa: FBT003 - torch takes it by position
        first = pupil.at(pupil.timesteps[0])
        self.pairs = private_pairs(first.quantized.graph)
        self.logs: dict[str, nn.Parameter] = {}
        makes: dict[str, nn.Parameter] = {}
        reads: dict[str, nn.Parameter] = {}
        for tensor, (maker, reader) in self.pairs.items():
            channels = len(first.quantized.weights[maker].scales)
            self.logs[tensor] = nn.Parameter(torch.zeros(channels))
            makes[maker] = reads[reader] = self.logs[tensor]
        for name in sorted({*makes, *reads}):
            owner = first.layer(name)
            assert isinstance(owner, QatLayer)  # noqa: S101 - pairs are of trained convolutions
            follow = _Follow(owner)
            weight = _Scaled(makes.get(name), reads.get(name))
            parametrize.register_parametrization(owner, "weight", weight)
            parametrize.register_parametrization(owner, "gain", follow)
            if name in makes:
                for timestep in pupil.timesteps:
                    layer = pupil.at(timestep).layer(name)
                    parametrize.register_parametrization(layer, "bias", _Divided(makes[name]))

    @torch.no_grad()
    def apply(self, graphs: Mapping[int, Graph]) -> dict[int, Graph]:
        """Return the float networks, by timestep, with the factors as they are now folded in."""
        factors = {name: log.exp().double().numpy() for name, log in self.logs.items()}
        return {t: divided(graph, self.pairs, factors) for t, graph in graphs.items()}


class _Scaled(nn.Module):
    """A weight whose outputs are divided and whose inputs are multiplied; OHWI."""

    def __init__(self, divides: nn.Parameter | None, multiplies: nn.Parameter | None) -> None:
        super().__init__()
        self.divides, self.multiplies = divides, multiplies

    def forward(self, weight: Tensor) -> Tensor:
        if self.divides is not None:
            weight = weight / self.divides.exp().view(-1, 1, 1, 1)
        return weight if self.multiplies is None else weight * self.multiplies.exp()


class _Divided(nn.Module):
    """A bias that is divided."""

    def __init__(self, log: nn.Parameter) -> None:
        super().__init__()
        self.log = log

    def forward(self, bias: Tensor) -> Tensor:
        return bias / self.log.exp()


class _Follow(nn.Module):
    """Scales that grow and shrink with the largest weight of their channel."""

    start: Tensor

    def __init__(self, layer: QatLayer) -> None:
        super().__init__()
        self._layer = (layer,)  # in a tuple: it is no part of this module
        with torch.no_grad():
            self.register_buffer("start", self._largest())

    def forward(self, gain: Tensor) -> Tensor:
        del gain
        return (self._largest() / self.start).log()

    def _largest(self) -> Tensor:
        return self._layer[0].weight.abs().flatten(1).amax(dim=1).clamp(min=_LEAST)
