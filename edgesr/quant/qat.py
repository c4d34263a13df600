"""Quantization-aware training: a quantized graph as a torch module that computes its integers.

The forward pass is the integer simulation with gradients, not an approximation of it: sums of whole
numbers, XNNPACK's rounding, one grid a tensor. What is trained is what runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from edgesr.errors import GraphError
from edgesr.graph.execute import RELU6_MAX, apply, convolve
from edgesr.graph.ops import (
    Activation,
    Add,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Pad,
    Relu,
    Relu6,
    is_selection,
)
from edgesr.quant import xnnpack
from edgesr.quant.fake_quant import lsq_factor, requantize, scale_gradient, to_steps
from edgesr.quant.grids import shared_grids
from edgesr.quant.qat_layer import QatLayer, SharedLayer, WeightScales
from edgesr.quant.scheme import QParams, QuantizedGraph, QuantizedWeight
from edgesr.quant.soft_rounding import SoftRoundedLayer


class QatNetwork(nn.Module):
    """A quantized graph whose weights, biases and scales can be trained.

    Tensors that share bytes share one scale. Scales of input and output are fixed, and so is that
    of a residual which lies on the step of its sum. Zero points stay as they are.

    In training mode the tensors on the output's grid are saturated but not rounded: no weight can
    take that rounding back, and without it the loss sees only what the weights can change.

    Args:
        quantized: where to start, from ``quantize_graph``; the first forward equals its simulation.
        weight_scales: how scales of weights are found, see ``QatLayer``.

    Raises:
        GraphError: a scale is not positive and finite, or an operation has no int8 form.
    """

    starts: Tensor

    def __init__(self, quantized: QuantizedGraph, *, weight_scales: WeightScales = "lsq") -> None:
        super().__init__()
        self.quantized = quantized
        groups = scale_groups(quantized)
        ends = {*(spec.name for spec in quantized.graph.inputs), *quantized.graph.outputs}
        fixed = {groups[name] for name in ends}
        names = list(dict.fromkeys(groups.values()))
        self.group_of = {tensor: names.index(group) for tensor, group in groups.items()}
        self.learned = [group not in fixed for group in names]
        scales = [quantized.qparams[group].scale for group in names]
        self.register_buffer("starts", torch.from_numpy(np.array(scales, np.float32)))
        self.gains = nn.ParameterList(
            nn.Parameter(torch.zeros(()), requires_grad=learns) for learns in self.learned
        )
        self.shifts: nn.ParameterList | None = None
        self.layers = nn.ModuleList()
        self.layer_of: dict[str, int] = {}
        for op in quantized.graph.ops:
            if isinstance(op, (Conv2D, DepthwiseConv2D)):
                start = quantized.weights[op.name]
                layer = QatLayer(op, start, weight_scales=weight_scales)
                source = float(quantized.qparams[op.inputs[0]].scale)
                layer.set_bias(source, torch.from_numpy(start.bias))
                self.layer_of[op.name] = len(self.layers)
                self.layers.append(layer)

    def forward(self, lr: Tensor) -> Tensor:
        """Map grey levels 0 to 255 ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``."""
        graph = self.quantized.graph
        name, output = graph.inputs[0].name, graph.outputs[0]
        scales = _Scales(self, lr[0].numel())
        low, high = self._bounds(name)
        values = {name: to_steps(lr / scales[name], low=low, high=high)}
        self._run(graph.ops, values, scales)
        return values[output] * scales[output]

    def run(self, ops: Iterable[Op], values: dict[str, Tensor]) -> None:
        """Run some operations on whole numbers without zero points, ``(n, c, h, w)`` by name.

        Args:
            ops: in order of execution.
            values: what they read; what they make is added.
        """
        self._run(ops, values, _Scales(self, next(iter(values.values()))[0].numel()))

    def scale(self, tensor: str) -> float:
        """Return the scale of ``tensor`` as it is now."""
        return float(_Scales(self, 1)[tensor].detach())

    def groups_of_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return what is trained: ``weights``, ``biases`` and ``scales``."""
        layers = [self.layer(name) for name in self.layer_of]
        found: dict[str, list[Tensor]] = {
            "weights": [layer.weight for layer in layers],
            "biases": [layer.bias for layer in layers],
            "scales": [*self.scale_parameters()],
        }
        return {
            kind: [one for one in some if isinstance(one, nn.Parameter) and one.requires_grad]
            for kind, some in found.items()
        }

    def scale_parameters(self) -> list[nn.Parameter]:
        """Return the parameters behind all scales, learned or not."""
        return [*self.gains, *(self.layer(name).gain for name in self.layer_of)]

    @torch.no_grad()
    def take_scales(self, other: "QatNetwork") -> None:
        """Set every scale to that of ``other``."""
        pairs = zip(self.scale_parameters(), other.scale_parameters(), strict=True)
        for mine, its in pairs:
            mine.copy_(its)

    def learn_zero_points(self) -> None:
        """Let both ends of ranges be learned: zero points too, but for those at the first code."""
        grids = {self.group_of[name]: grid for name, grid in self.quantized.qparams.items()}
        self.shifts = nn.ParameterList(
            nn.Parameter(torch.zeros(()), requires_grad=learns and grid.zero_point != grid.code_min)
            for learns, (_, grid) in zip(self.learned, sorted(grids.items()), strict=True)
        )

    def follow_maxima(self) -> None:
        """Set the scales of weights that are not learned to the weights' largest values."""
        for name in self.layer_of:
            layer = self.layer(name)
            if not (layer.fixed or layer.learns_scales):
                layer.follow_maximum()

    @torch.no_grad()
    def to_quantized(self) -> QuantizedGraph:
        """Return grids and integers as they are now.

        Raises:
            GraphError: a scale or weight is NaN or infinite.
        """
        scales = _Scales(self, 1)
        qparams = {
            name: replace(
                grid,
                scale=np.float32(scales[name].item()),
                zero_point=int(self._zero_point(name).item()),
            )
            for name, grid in self.quantized.qparams.items()
        }
        ops: list[Op] = []
        weights: dict[str, QuantizedWeight] = {}
        for op in self.quantized.graph.ops:
            if not isinstance(op, (Conv2D, DepthwiseConv2D)):
                ops.append(op)
                continue
            layer = self.layer(op.name)
            values, bias, steps = layer.integers(scales[op.inputs[0]])
            _check_finite(op.name, {"weight": values, "bias": bias, "scale": steps})
            weights[op.name] = QuantizedWeight(
                values=values.to(torch.int8).cpu().numpy(),
                scales=steps.cpu().numpy().copy(),
                bias=bias.to(torch.int32).cpu().numpy(),
                bits=self.quantized.weights[op.name].bits,
            )
            floats = {key: getattr(layer, key).cpu().numpy().copy() for key in ("weight", "bias")}
            ops.append(replace(op, **floats))
        graph = replace(self.quantized.graph, ops=tuple(ops))
        return replace(self.quantized, graph=graph, qparams=qparams, weights=weights)

    def layer(self, name: str) -> QatLayer | SharedLayer | SoftRoundedLayer:
        """Return the trained weight of the layer ``name``."""
        layer = self.layers[self.layer_of[name]]
        # a ModuleList does not know its type
        assert isinstance(layer, (QatLayer, SharedLayer, SoftRoundedLayer))  # noqa: S101
        return layer

    def replace_layer(self, name: str, layer: SharedLayer | SoftRoundedLayer) -> None:
        """Put another weight in the place of the layer ``name``."""
        self.layers[self.layer_of[name]] = layer

    def _run(self, ops: Iterable[Op], values: dict[str, Tensor], scales: "_Scales") -> None:
        for op in ops:
            made = self._step(op, values, scales)
            if self._learns_zero_point(op.output):
                grid, zero = self.quantized.qparams[op.output], self._zero_point(op.output)
                made = made.clamp(grid.code_min - zero, grid.code_max - zero)
            values[op.output] = made

    def _step(  # noqa: PLR0911 - one case an op
        self, op: Op, values: Mapping[str, Tensor], scales: "_Scales"
    ) -> Tensor:
        """Run one operation on whole numbers without zero points, ``(n, c, h, w)``."""
        first = values[op.inputs[0]]
        match op:
            case Conv2D() | DepthwiseConv2D():
                source = scales[op.inputs[0]]
                weight, bias, steps = self.layer(op.name).integers(source)
                sums = convolve(op, first, weight, bias)
                target = scales.made(op.output, sums)
                low, high = self._bounds(op.output, op.activation, target)
                if self._is_smooth(op):
                    factors = (source * steps / target).view(1, -1, 1, 1)
                    return (sums * factors).clamp(low, high)
                return requantize(sums, source * steps / target, low=low, high=high)
            case Add():
                total = self._added(op, first, values[op.inputs[1]], scales)
                low, high = self._bounds(op.output, op.activation, scales[op.output])
                if self._is_smooth(op):
                    return total.clamp(low, high)
                return to_steps(total, low=low, high=high)
            case Relu():
                return first.clamp(min=0.0)
            case Relu6():
                low, high = self._bounds(op.output, "relu6", scales[op.output])
                return first.clamp(low, high)
            case Pad() | Concatenation() | DepthToSpace():
                return apply(op, values)
            case _:
                raise GraphError(f"layer {op.name}: {type(op).__name__} has no int8 form")

    def _learns_zero_point(self, tensor: str) -> bool:
        return self.shifts is not None and self.shifts[self.group_of[tensor]].requires_grad

    def _zero_point(self, tensor: str) -> Tensor:
        """Return the code of 0, a whole number with a gradient."""
        grid = self.quantized.qparams[tensor]
        start = torch.tensor(float(grid.zero_point))
        if self.shifts is None:
            return start
        zero = (start + self.shifts[self.group_of[tensor]]).clamp(grid.code_min, grid.code_max)
        rounded: Tensor = zero + (zero.round() - zero).detach()
        return rounded

    def _is_smooth(self, op: Op) -> bool:
        return self.training and not self.learned[self.group_of[op.output]]

    def _added(self, op: Add, first: Tensor, second: Tensor, scales: "_Scales") -> Tensor:
        """Return the sum in steps of the output: XNNPACK's integer, the real sum's gradient."""
        target = scales.made(op.output, first)
        ratios = [scales[name] / target for name in op.inputs]
        total = first * ratios[0] + second * ratios[1]
        if self._is_smooth(op):
            return total
        grids = [
            QParams(scale=np.float32(scales[name].item()), zero_point=0)
            for name in (*op.inputs, op.output)
        ]
        exact = xnnpack.add(first.detach(), second.detach(), *grids)
        return total + (exact - total).detach()

    def _bounds(
        self, name: str, activation: Activation = "none", scale: Tensor | None = None
    ) -> tuple[float, float]:
        grid = self.quantized.qparams[name]
        low = float(grid.code_min - grid.zero_point)
        high = float(grid.code_max - grid.zero_point)
        if self._learns_zero_point(name):  # ``_run`` saturates, with gradients
            low, high = -float("inf"), float("inf")
        if activation != "none":
            low = max(low, 0.0)
        if activation == "relu6" and scale is not None:
            high = min(high, float(np.rint(np.float32(RELU6_MAX) / np.float32(scale.item()))))
        return low, high


class _Scales:
    """The scales of one forward pass; each is made once, so that all its readers share it."""

    def __init__(self, network: QatNetwork, count: int) -> None:
        self._network = network
        self._count = count
        self._made: dict[int, Tensor] = {}

    def __getitem__(self, tensor: str) -> Tensor:
        return self._scale(tensor, self._count)

    def made(self, tensor: str, values: Tensor) -> Tensor:
        """Return the scale of ``tensor``, which has the shape of ``values``."""
        return self._scale(tensor, values[0].numel())

    def _scale(self, tensor: str, count: int) -> Tensor:
        network = self._network
        group = network.group_of[tensor]
        if group not in self._made:
            scale = network.starts[group] * network.gains[group].exp()
            if network.learned[group]:
                grid = network.quantized.qparams[tensor]
                largest = grid.code_max - grid.zero_point
                scale = scale_gradient(scale, lsq_factor(count, largest))
            self._made[group] = scale
        return self._made[group]


def scale_groups(quantized: QuantizedGraph) -> dict[str, str]:
    """Return for every tensor the representative of those that share its scale.

    Beyond what shares a grid these are copies of channels and operands of an ADD that lie on the
    step of the sum.
    """
    groups = shared_grids(quantized.graph)

    def tie(one: str, other: str) -> None:
        old, new = groups[one], groups[other]
        groups.update({name: new for name, group in groups.items() if group == old})

    for op in quantized.graph.ops:
        target = quantized.qparams[op.output].scale
        for name in op.inputs:
            same_step = isinstance(op, Add) and quantized.qparams[name].scale == target
            if is_selection(op) or same_step:
                tie(name, op.output)
    return groups


def _check_finite(layer: str, values: Mapping[str, Tensor]) -> None:
    for what, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise GraphError(f"layer {layer}: its {what} is NaN or infinite; training diverged")
