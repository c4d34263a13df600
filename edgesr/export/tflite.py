"""Write a graph as a .tflite file: float32, or an int8 core with int8, uint8 or float32 I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgesr.export.flatbuffer import ModelBuilder
from edgesr.export.lowering import (
    add_clip,
    add_dequantize,
    add_operator,
    add_quantize,
)
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Clip, Conv2D, DepthwiseConv2D, Op, WeightedOp
from edgesr.graph.shapes import Shape, infer_shapes
from edgesr.quant.affine import bias_scales
from edgesr.quant.scheme import CODE_MIN, QuantizedGraph
from edgesr.quant.weights import channel_axis

Io = Literal["int8", "uint8", "float32"]

PLACEHOLDER_SIZE = (64, 64)
"""Size that a file for every size names until the caller sets another."""

_DESCRIPTION = "edgesr super-resolution"


def write_float32(
    graph: Graph,
    *,
    shape: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of a float32 file for a lowered graph.

    Args:
        graph: lowered network.
        shape: height and width of the only input size, or None for every size.
        metadata: text entries for the file; keys start with ``edgesr``.

    Raises:
        GraphError: the graph was not lowered.
    """
    sheet = _Sheet(graph=graph, quantized=None, shapes=_shapes(graph, shape), free=shape is None)
    for spec in graph.inputs:
        sheet.activation(spec.name)
    sheet.body()
    return sheet.finish(sheet.inputs(), sheet.outputs(), metadata)


def write_int8(
    quantized: QuantizedGraph,
    *,
    io: Io = "int8",
    shape: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of an int8 file.

    Scales are written as they are in ``quantized``. With uint8 I/O a QUANTIZE at either end shifts
    the zero point by 128, which is exact; with float32 I/O the ends are QUANTIZE and DEQUANTIZE.

    Args:
        quantized: network.
        io: dtype of input and output.
        shape: height and width of the only input size, or None for every size.
        metadata: text entries for the file; keys start with ``edgesr``.
    """
    graph = quantized.graph
    shapes = _shapes(graph, shape)
    sheet = _Sheet(graph=graph, quantized=quantized, shapes=shapes, free=shape is None)
    if io == "int8":
        for spec in graph.inputs:
            sheet.activation(spec.name)
        sheet.body()
        return sheet.finish(sheet.inputs(), sheet.outputs(), metadata)
    outer = {spec.name: sheet.outer(spec.name, spec.name, io) for spec in graph.inputs}
    for name, number in outer.items():
        add_quantize(sheet.model, number, sheet.activation(name, label=f"{name}/int8"))
    sheet.body(labels={name: f"{name}/int8" for name in graph.outputs})
    ends = {name: sheet.outer(name, name, io) for name in graph.outputs}
    add_end = add_dequantize if io == "float32" else add_quantize
    for name, number in ends.items():
        add_end(sheet.model, sheet.numbers[name], number)
    return sheet.finish(outer, ends, metadata)


@dataclass(kw_only=True)
class _Sheet:
    """The tensors of one file while it is written."""

    graph: Graph
    quantized: QuantizedGraph | None
    shapes: Mapping[str, Shape]
    free: bool
    numbers: dict[str, int] = field(default_factory=dict)
    model: ModelBuilder = field(init=False)

    def __post_init__(self) -> None:
        self.model = ModelBuilder(name=self.graph.name, description=_DESCRIPTION)

    def activation(self, name: str, *, label: str | None = None) -> int:
        """Add the tensor ``name`` of the graph."""
        grid = None
        if self.quantized is not None:
            qparams = self.quantized.qparams[name]
            grid = (qparams.scale, qparams.zero_point)
        dtype: npt.DTypeLike = np.float32 if grid is None else np.int8
        self.numbers[name] = self._tensor(label or name, name, dtype, grid)
        return self.numbers[name]

    def outer(self, label: str, like: str, io: Io) -> int:
        """Add an input or output of the file that differs in dtype from the graph's tensor."""
        if self.quantized is None or io == "float32":
            return self._tensor(label, like, np.float32, None)
        qparams = self.quantized.qparams[like]
        grid = (qparams.scale, qparams.zero_point - CODE_MIN)
        return self._tensor(label, like, np.uint8, grid)

    def body(self, *, labels: Mapping[str, str] | None = None) -> None:
        """Add every operation of the graph."""
        for op in self.graph.ops:
            inputs = [self.numbers[name] for name in op.inputs]
            if isinstance(op, (Conv2D, DepthwiseConv2D)):
                inputs += self._constants(op)
            middle = self._clip_middle(op)
            output = self.activation(op.output, label=(labels or {}).get(op.output))
            quantized = self.quantized is not None
            if isinstance(op, Clip) and middle is not None:
                add_clip(self.model, op, inputs[0], middle, output)
            else:
                add_operator(self.model, op, inputs, output, quantized=quantized)

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

    def _tensor(
        self, label: str, like: str, dtype: npt.DTypeLike, grid: tuple[Any, Any] | None
    ) -> int:
        height, width, channels = self.shapes[like]
        signature = [1, -1, -1, channels] if self.free else None
        sizes = [1, height, width, channels]
        return self.model.tensor(label, sizes, dtype, signature=signature, grid=grid)

    def _constants(self, op: WeightedOp) -> list[int]:
        weight, bias = f"{op.name}/weight", f"{op.name}/bias"
        add = self.model.tensor
        if self.quantized is None:
            return [
                add(weight, op.weight.shape, np.float32, data=op.weight),
                add(bias, op.bias.shape, np.float32, data=op.bias),
            ]
        integers = self.quantized.weights[op.name]
        steps = bias_scales(self.quantized.qparams[op.inputs[0]].scale, integers.scales)
        shape = integers.values.shape
        grid, axis = (integers.scales, 0), channel_axis(op)
        return [
            add(weight, shape, np.int8, data=integers.values, grid=grid, axis=axis),
            add(bias, integers.bias.shape, np.int32, data=integers.bias, grid=(steps, 0)),
        ]

    def _clip_middle(self, op: Op) -> int | None:
        if not isinstance(op, Clip):
            return None
        return self._tensor(f"{op.name}/high", op.output, np.float32, None)


def _shapes(graph: Graph, shape: tuple[int, int] | None) -> dict[str, Shape]:
    return infer_shapes(graph, *(shape or PLACEHOLDER_SIZE))
