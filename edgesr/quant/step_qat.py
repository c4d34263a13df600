"""Quantization-aware training of a denoiser's steps: one set of weight codes, grids by group.

Every step is a ``QatNetwork``. Those behind the first read its weights, so that a gradient of any
step moves the codes of all; their scales stay the fixed multiples that the timestep makes of them,
and biases are each step's own. Scales of activations are one parameter a tensor and group of steps.

Source: He et al. 2024 (EfficientDM), arXiv 2310.03270, section 3.2 (adapters that are merged before
rounding), 3.3 (learning rates that follow the weights' scales) and 3.4 (scales by timestep); whole
weights are trained here unless a rank is given, and scales are learned by groups of steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgesr.errors import GraphError
from edgesr.graph.ops import Conv2D, DepthwiseConv2D
from edgesr.quant.qat import QatNetwork
from edgesr.quant.qat_layer import QatLayer, SharedLayer
from edgesr.quant.scheme import QuantizedGraph
from edgesr.quant.stepwise import check_shared

_SEED = 0


@dataclass(frozen=True, kw_only=True)
class StepRates:
    """Learning rates of Adam.

    Attributes:
        weight_share: of a layer's weights and adapters: this share of its mean scale a step.
        bias_share: of a layer's biases: this share of its output's scale a step.
        weight_scales: relative change a step.
        activation_scales: relative change a step.
    """

    weight_share: float = 1.0 / 2500.0
    bias_share: float = 1.0 / 2500.0
    weight_scales: float = 1e-4
    activation_scales: float = 5e-4

    def hastened(self, times: float) -> "StepRates":
        """Return these with the rates of weights and biases so many times as high."""
        return replace(
            self,
            weight_share=times * self.weight_share,
            bias_share=times * self.bias_share,
        )


class StepsQat(nn.Module):
    """All steps of a denoiser in integers, with gradients.

    Args:
        quantized: by timestep, of equal weight bytes; where training starts.
        groups: number of each step's group; the steps of one are on the same grids.
        rank: of adapters that are trained instead of the whole weights; None trains these.

    Raises:
        GraphError: steps that do not share their weights, groups whose grids differ, or a rank
            below 1.
    """

    def __init__(
        self,
        quantized: Mapping[int, QuantizedGraph],
        groups: Sequence[int],
        *,
        rank: int | None = None,
    ) -> None:
        super().__init__()
        check_shared(quantized)
        self.timesteps, self.rank = tuple(quantized), rank
        self.networks = nn.ModuleList()
        firsts: dict[int, QatNetwork] = {}
        first_steps: dict[int, int] = {}
        self._first_of: list[int] = []
        for (timestep, one), group in zip(quantized.items(), groups, strict=True):
            network = QatNetwork(one)
            first = firsts.setdefault(group, network)
            if first.quantized.qparams != one.qparams:
                raise GraphError(
                    f"{one.graph.name}: timestep {timestep} has other grids than the rest of group "
                    f"{group}; give the groups that quantize_steps found"
                )
            network.gains = first.gains
            self._first_of.append(self.timesteps.index(first_steps.setdefault(group, timestep)))
            if len(self.networks):
                _share(network, self.at(self.timesteps[0]))
            self.networks.append(network)
        if rank is not None:
            self._adapt(rank)

    def forward(self, joined: Tensor, timestep: int) -> Tensor:
        """Map joined images ``(n, c, h, w)`` on ``INPUT_LEVELS`` to ``(n, 3, s h, s w)``."""
        made: Tensor = self.at(timestep)(joined)
        return made

    def at(self, timestep: int) -> QatNetwork:
        """Return the network of a timestep."""
        network = self.networks[self.timesteps.index(timestep)]
        assert isinstance(network, QatNetwork)  # noqa: S101 - a ModuleList does not know its type
        return network

    def on_grid(self, prediction: Tensor, timestep: int) -> Tensor:
        """Round a prediction of training mode to the grid of its step, of the same shape."""
        network = self.at(timestep)
        scale = network.scale(network.quantized.graph.outputs[0])
        return (prediction / scale).round() * scale

    def groups_of_parameters(self, rates: StepRates) -> list[dict[str, Any]]:
        """Return the optimizer's groups, ``params`` and ``lr``; nothing is named twice."""
        first = self.at(self.timesteps[0])
        groups: list[dict[str, Any]] = []
        for op in first.quantized.graph.ops:
            if not isinstance(op, (Conv2D, DepthwiseConv2D)) or first.layer(op.name).fixed:
                continue
            owner = first.layer(op.name)
            step = float(owner.scales().detach().mean())
            adapters = [
                one for name, one in owner.named_parameters() if name not in {"bias", "gain"}
            ]
            biases: list[Any] = [self.at(t).layer(op.name).bias for t in self.timesteps]
            groups += [
                {"params": adapters, "lr": rates.weight_share * step},
                {"params": biases, "lr": rates.bias_share * first.scale(op.output)},
                {"params": [owner.gain], "lr": rates.weight_scales},
            ]
        gains = {id(one): one for t in self.timesteps for one in self.at(t).gains}
        groups.append({"params": [*gains.values()], "lr": rates.activation_scales})
        kept = [
            {**group, "params": [one for one in group["params"] if one.requires_grad]}
            for group in groups
        ]
        return [group for group in kept if group["params"]]

    def learn_boundaries(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Freeze weights and biases and let both ends of every activation's range be learned.

        Returns:
            What is behind scales and what is behind zero points, of all groups of steps.
        """
        for parameter in self.parameters():
            parameter.requires_grad_(False)  # noqa: FBT003 - torch takes it by position
        for number, timestep in enumerate(self.timesteps):
            network = self.at(timestep)
            first = self.at(self.timesteps[self._first_of[number]])
            if first is network:
                network.learn_zero_points()
                for gain, learns in zip(network.gains, network.learned, strict=True):
                    gain.requires_grad_(learns)
            network.shifts = first.shifts
        found: tuple[dict[int, nn.Parameter], dict[int, nn.Parameter]] = ({}, {})
        for timestep in self.timesteps:
            network = self.at(timestep)
            found[0].update({id(one): one for one in network.gains if one.requires_grad})
            if network.shifts is not None:
                found[1].update({id(one): one for one in network.shifts if one.requires_grad})
        return [*found[0].values()], [*found[1].values()]

    def to_quantized(self) -> dict[int, QuantizedGraph]:
        """Return grids and integers as they are now, by timestep; adapters are merged.

        Raises:
            GraphError: a scale or weight is NaN or infinite.
        """
        found = {timestep: self.at(timestep).to_quantized() for timestep in self.timesteps}
        check_shared(found)
        return found

    def _adapt(self, rank: int) -> None:
        """Train products of thin matrices that are added to the weights instead of these."""
        if rank < 1:
            raise GraphError(f"adapters of rank {rank}, want 1 or more")
        first = self.at(self.timesteps[0])
        random = torch.Generator().manual_seed(_SEED)
        for name in first.layer_of:
            layer = first.layer(name)
            if isinstance(layer, QatLayer) and not layer.fixed:
                adapter = _LowRank(layer.weight, layer.axis, rank, random)
                layer.weight.requires_grad_(False)  # noqa: FBT003 - torch takes it by position
                parametrize.register_parametrization(layer, "weight", adapter)


class _LowRank(nn.Module):
    """Adds a matrix of low rank, 0 at first; rows are output channels."""

    def __init__(self, weight: Tensor, axis: int, rank: int, random: torch.Generator) -> None:
        super().__init__()
        self.axis = axis
        moved = weight.movedim(axis, 0)
        self.shape = moved.shape
        rows, columns = len(moved), moved[0].numel()
        rank = min(rank, rows, columns)
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.down = nn.Parameter(torch.randn(rank, columns, generator=random) * columns**-0.5)

    def forward(self, weight: Tensor) -> Tensor:
        added = (self.up @ self.down).view(self.shape).movedim(0, self.axis)
        return weight + added


def _share(network: QatNetwork, first: QatNetwork) -> None:
    """Let a step read the weights of the first one."""
    for op in network.quantized.graph.ops:
        if not isinstance(op, (Conv2D, DepthwiseConv2D)):
            continue
        owner = first.layer(op.name)
        if isinstance(owner, QatLayer) and not owner.fixed:
            start = network.quantized.weights[op.name]
            shared = SharedLayer(owner, start)
            source = float(network.quantized.qparams[op.inputs[0]].scale)
            shared.set_bias(source, torch.from_numpy(start.bias))
            network.replace_layer(op.name, shared)
