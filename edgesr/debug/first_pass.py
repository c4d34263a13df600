"""Run float and int8 network side by side and keep one thing after the other in float."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.debug.banding import banding
from edgesr.debug.figures import LayerFigures, Suspect, TensorFigures, Totals, decibels, gain
from edgesr.debug.mixed import Changes, layer_sums, picture, run_mixed
from edgesr.debug.sums import LayerSums, TensorSums, weight_powers
from edgesr.errors import GraphError
from edgesr.graph.execute import convolve, execute
from edgesr.graph.graph import Graph, producers
from edgesr.graph.ops import Add, Conv2D, DepthwiseConv2D
from edgesr.quant.affine import bias_scales
from edgesr.quant.grids import shared_grids
from edgesr.quant.observers import OBSERVERS, Observer
from edgesr.quant.scheme import GREY_LEVELS, QuantizedGraph

_ESTIMATOR = "histogram_mse"
_WHITE = 255.0

Key = tuple[str, str]
Tick = Callable[[], None]
Pixels = NDArray[np.uint8]


class FirstPass:
    """Sums of everything that needs no second look.

    Args:
        quantized: network with an input and an output of grey levels.
    """

    def __init__(self, quantized: QuantizedGraph) -> None:
        graph = quantized.graph
        self.quantized = quantized
        self.groups = shared_grids(graph)
        self.made_by = producers(graph)
        self.weighted = {
            op.name: op for op in graph.ops if isinstance(op, (Conv2D, DepthwiseConv2D))
        }
        names = [graph.inputs[0].name, *(op.output for op in graph.ops)]
        self.tensors = {name: TensorSums(quantized.qparams[name]) for name in names}
        self.layers = {name: LayerSums() for name in self.weighted}
        self.ranges: dict[str, Observer] = {}
        self.changes = self._changes()
        self.left = dict.fromkeys(self.changes, 0.0)
        self.squared_error = 0.0
        self.floats: list[NDArray[np.float32]] = []
        self.int8s: list[NDArray[np.float32]] = []

    def take(self, lr: Pixels, tick: Tick) -> None:
        """Measure one crop ``(h, w, 3)``; ``tick`` is called after every run of the network.

        Raises:
            GraphError: a tensor takes a value that is NaN or infinite.
        """
        quantized, graph = self.quantized, self.quantized.graph
        wanted = float_values(graph, lr)
        steps = run_mixed(quantized, batch_of(lr))
        self._compare(wanted, steps)
        reference, found = float_picture(graph, wanted), picture(quantized, steps)
        self.squared_error += squared_error(found, reference)
        for key, changes in self.changes.items():
            if self._is_exact(key):
                self.left[key] = self.squared_error
            else:
                kept = run_mixed(quantized, batch_of(lr), changes, base=steps)
                self.left[key] += squared_error(picture(quantized, kept), reference)
            tick()
        self.floats.append(reference[0].numpy())
        self.int8s.append(found[0].numpy())

    def suspects(self) -> list[Suspect]:
        """Return everything that was kept in float, in execution order."""
        return [
            self._layer_suspect(name) if kind == "weights" else self._tensor_suspect(name)
            for kind, name in self.changes
        ]

    def tensor_figures(self) -> tuple[TensorFigures, ...]:
        """Return the figures of all tensors, the input first."""
        return tuple(
            sums.figures(name, self.layer_of(name), self.groups[name])
            for name, sums in self.tensors.items()
        )

    def layer_figures(self) -> tuple[LayerFigures, ...]:
        """Return the figures of all layers with weights."""
        return tuple(
            self.layers[name].figures(op, self.quantized.weights[name], self.tensors[op.output])
            for name, op in self.weighted.items()
        )

    def totals(self) -> Totals:
        """Return the comparison of the pictures."""
        pairs = zip(self.int8s, self.floats, strict=True)
        errors = [found.astype(np.float64) - wanted for found, wanted in pairs]
        values = sum(one.size for one in errors)
        rounding = sum(float(np.square(np.rint(one) - one).sum()) for one in self.floats)
        red, green, blue = sum(one.sum(axis=(0, 1)) for one in errors) * 3.0 / values
        return Totals(
            values=values,
            squared_error=self.squared_error / values,
            ceiling=rounding / values,
            max_error=max(float(np.abs(one).max()) for one in errors),
            colour_bias=(float(red), float(green), float(blue)),
            banding=banding(self.floats, self.int8s),
        )

    def layer_of(self, tensor: str) -> str:
        """Return the layer that makes a tensor; the input is its own."""
        return self.made_by[tensor].name if tensor in self.made_by else tensor

    def computed(self, group: str) -> list[str]:
        """Return the tensors of a group that are computed rather than copied."""
        kinds = (Conv2D, DepthwiseConv2D, Add)
        return [
            name
            for name, other in self.groups.items()
            if other == group and isinstance(self.made_by.get(name), (*kinds, type(None)))
        ]

    def _compare(self, wanted: Mapping[str, Tensor], steps: Mapping[str, Tensor]) -> None:
        output = self.groups[self.quantized.graph.outputs[0]]
        for name, sums in self.tensors.items():
            image = self.groups[name] == output
            sums.update(wanted[name].clamp(0.0, _WHITE) if image else wanted[name], steps[name])
        for group in dict.fromkeys(self.groups.values()):
            seen = self.ranges.setdefault(group, OBSERVERS[_ESTIMATOR]())
            for name in self.computed(group):
                seen.update(wanted[name])
        for name, op in self.weighted.items():
            source, scales = op.inputs[0], self.quantized.weights[name].scales
            units = bias_scales(self.quantized.qparams[source].scale, scales).astype(np.float64)
            found = layer_sums(op, self.quantized, steps[source]).double()
            weight, bias = torch.from_numpy(op.weight), torch.from_numpy(op.bias)
            self.layers[name].update(
                convolve(op, wanted[source], weight, bias),
                found * torch.from_numpy(units).view(1, -1, 1, 1),
            )

    def _changes(self) -> dict[Key, Changes]:
        """Return what is kept in float: every group of tensors and the weights of every layer."""
        changes: dict[Key, Changes] = {}
        for group in dict.fromkeys(self.groups.values()):
            members = frozenset(name for name, other in self.groups.items() if other == group)
            changes["tensor", group] = Changes(floats=members)
        for name in self.weighted:
            changes["weights", name] = Changes(float_weights=frozenset({name}))
        return changes

    def _is_exact(self, key: Key) -> bool:
        """Tell whether rounding has changed nothing so far, so that float changes nothing."""
        kind, name = key
        if kind == "tensor":
            return not any(self.tensors[one].noise for one in self.changes[key].floats)
        op, weight = self.weighted[name], self.quantized.weights[name]
        units = bias_scales(self.quantized.qparams[op.inputs[0]].scale, weight.scales)
        same_bias = np.array_equal(weight.bias * units.astype(np.float64), op.bias)
        return weight_powers(op, weight)[1] == 0.0 and same_bias

    def _layer_suspect(self, name: str) -> Suspect:
        weight = self.quantized.weights[name]
        return Suspect(
            kind="weights",
            name=name,
            layers=(name,),
            tensors=(),
            fixed=False,
            bits=weight.bits,
            gain_db=gain(self.squared_error, self.left["weights", name]),
            sqnr_db=decibels(*weight_powers(self.weighted[name], weight)),
        )

    def _tensor_suspect(self, group: str) -> Suspect:
        computed = self.computed(group)
        sums = [self.tensors[name] for name in computed]
        noise = sum(one.noise for one in sums)
        grid, graph = self.quantized.qparams[group], self.quantized.graph
        ends = {self.groups[graph.inputs[0].name], self.groups[graph.outputs[0]]}
        return Suspect(
            kind="tensor",
            name=group,
            layers=tuple(map(self.layer_of, computed)),
            tensors=tuple(name for name in self.tensors if self.groups[name] == group),
            fixed=group in ends and grid == GREY_LEVELS,
            bits=grid.bits,
            gain_db=gain(self.squared_error, self.left["tensor", group]),
            sqnr_db=decibels(sum(one.power for one in sums), noise),
            clipped=sum(one.clipped for one in sums) / noise if noise else 0.0,
            low=grid.low,
            high=grid.high,
        )


@torch.no_grad()
def float_values(graph: Graph, lr: Pixels) -> dict[str, Tensor]:
    """Run the float graph on one ``(h, w, 3)`` image and return its tensors, ``(1, c, h, w)``.

    Raises:
        GraphError: a tensor takes a value that is NaN or infinite.
    """
    values: dict[str, Tensor] = {}
    made_by = producers(graph)

    def observe(name: str, value: Tensor) -> None:
        if not bool(torch.isfinite(value).all()):
            layer = f"layer {made_by[name].name}" if name in made_by else "the input"
            raise GraphError(
                f"{graph.name}: tensor {name!r} ({layer}) takes NaN or infinity in float; use an "
                "earlier checkpoint"
            )
        values[name] = value

    execute(graph, batch_of(lr), observe=observe)
    return values


def float_picture(graph: Graph, values: Mapping[str, Tensor]) -> Tensor:
    """Return the output of ``float_values`` as grey levels ``(1, h, w, 3)``, clipped."""
    return values[graph.outputs[0]].clamp(0.0, _WHITE).permute(0, 2, 3, 1).contiguous()


def squared_error(found: Tensor, wanted: Tensor) -> float:
    """Return the sum of squared differences."""
    return float((found.double() - wanted.double()).square().sum())


def batch_of(lr: Pixels) -> Tensor:
    """Return one ``(h, w, 3)`` image as a float32 batch ``(1, h, w, 3)``."""
    return torch.from_numpy(np.ascontiguousarray(lr)).float()[None]
