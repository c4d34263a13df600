"""The tensors and operators of one .tflite file while a graph is written into it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgesr.export.flatbuffer import ModelBuilder
from edgesr.export.lowering import Kind, add_clip, add_operator, add_quantize
from edgesr.graph.graph import Graph
from edgesr.graph.ops import (
    Clip,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    WeightedOp,
)
from edgesr.graph.shapes import Shape, infer_shapes
from edgesr.quant.scheme import QParams

PLACEHOLDER_SIZE = (64, 64)
"""Size that a file for every size names until the caller sets another."""

DESCRIPTION = "edgesr super-resolution"
"""What viewers show of a file."""

_INTEGERS: Mapping[int, type[np.signedinteger]] = {8: np.int8, 16: np.int16}
_KINDS: Mapping[int, Kind] = {8: "int8", 16: "int16"}

Constants = Callable[[ModelBuilder, WeightedOp], tuple[list[int], Kind]]
"""Adds weight and bias of a layer; returns their numbers and which kernel the layer needs."""


@dataclass(kw_only=True)
class Sheet:
    """One file while it is written.

    Attributes:
        graph: the network.
        grids: grid by tensor, of 8 or 16 bits; None for float32 activations.
        constants: how weights are stored.
        shape: height and width of the only input size, or None for every size.
        numbers: number in the file by name of the graph.
        onto: collects the file, its newest subgraph empty; None starts a file.
        model: what collects the file.
    """

    graph: Graph
    grids: Mapping[str, QParams] | None
    constants: Constants
    shape: tuple[int, int] | None
    numbers: dict[str, int] = field(default_factory=dict)
    onto: ModelBuilder | None = None
    model: ModelBuilder = field(init=False)
    _shapes: Mapping[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.onto or ModelBuilder(name=self.graph.name, description=DESCRIPTION)
        self._shapes = infer_shapes(self.graph, *(self.shape or PLACEHOLDER_SIZE))

    def activation(self, name: str, *, label: str | None = None) -> int:
        """Add the tensor ``name`` of the graph on its grid."""
        grid = None if self.grids is None else self.grids[name]
        self.numbers[name] = self.tensor(label or name, name, grid)
        return self.numbers[name]

    def tensor(self, label: str, like: str, grid: QParams | None) -> int:
        """Add a tensor of the shape of ``like``: float32, or the integers of ``grid``."""
        if grid is None:
            return self.typed(label, like, np.float32, None)
        pair = (float(grid.scale), grid.zero_point)
        return self.typed(label, like, _INTEGERS[grid.bits], pair)

    def typed(
        self, label: str, like: str, dtype: npt.DTypeLike, pair: tuple[float, int] | None
    ) -> int:
        """Add a tensor of the shape of ``like`` with any dtype, scale and zero point."""
        height, width, channels = self._shapes[like]
        signature = [1, -1, -1, channels] if self.shape is None else None
        return self.model.tensor(
            label, [1, height, width, channels], dtype, signature=signature, grid=pair
        )

    def body(self, *, labels: Mapping[str, str] | None = None) -> None:
        """Add every operation of the graph.

        DEPTH_TO_SPACE has no int16 kernel: it moves int8 behind a QUANTIZE.
        """
        for op in self.graph.ops:
            inputs = [self.numbers[name] for name in op.inputs]
            kind = self._kind(op)
            if isinstance(op, (Conv2D, DepthwiseConv2D)):
                constants, kind = self.constants(self.model, op)
                inputs += constants
            if isinstance(op, DepthToSpace) and kind == "int16":
                inputs = [self._narrowed(op)]
            label = (labels or {}).get(op.output)
            if isinstance(op, Clip):
                middle = self.tensor(f"{op.name}/high", op.output, None)
                add_clip(self.model, op, inputs[0], middle, self.activation(op.output, label=label))
            else:
                add_operator(
                    self.model, op, inputs, self.activation(op.output, label=label), kind=kind
                )

    def inputs(self) -> dict[str, int]:
        """Return the numbers of the graph's inputs by name."""
        return {spec.name: self.numbers[spec.name] for spec in self.graph.inputs}

    def outputs(self) -> dict[str, int]:
        """Return the numbers of the graph's outputs by name."""
        return {name: self.numbers[name] for name in self.graph.outputs}

    def finish(
        self,
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        metadata: Mapping[str, str] | None,
    ) -> bytes:
        """Return the content of the file."""
        return self.model.finish(inputs, outputs, metadata or {})

    def _kind(self, op: Op) -> Kind:
        return "float32" if self.grids is None else _KINDS[self.grids[op.inputs[0]].bits]

    def _narrowed(self, op: DepthToSpace) -> int:
        source = op.inputs[0]
        grid = None if self.grids is None else self.grids[op.output]
        number = self.tensor(f"{source}/int8", source, grid)
        add_quantize(self.model, self.numbers[source], number)
        return number
