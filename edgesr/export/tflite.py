"""Write a graph as a .tflite file: float32, or an int8 core with int8, uint8 or float32 I/O."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgesr.errors import GraphError
from edgesr.export.flatbuffer import ModelBuilder
from edgesr.export.lowering import Kind, add_dequantize, add_quantize
from edgesr.export.sheet import Constants, Sheet
from edgesr.graph.graph import Graph
from edgesr.graph.ops import WeightedOp
from edgesr.quant.affine import bias_scales
from edgesr.quant.mixed import refusal
from edgesr.quant.scheme import BITS, CODE_MIN, MIXED, QuantizedGraph
from edgesr.quant.weights import channel_axis

Io = Literal["int8", "uint8", "float32"]


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
    return write_float_activations(graph, float32_constants, shape=shape, metadata=metadata)


def write_float_activations(
    graph: Graph,
    constants: Constants,
    *,
    shape: tuple[int, int] | None,
    metadata: Mapping[str, str] | None,
) -> bytes:
    """Return the content of a file that computes in float32 with weights as ``constants`` stores.

    Raises:
        GraphError: the graph was not lowered.
    """
    sheet = Sheet(graph=graph, grids=None, constants=constants, shape=shape)
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

    Raises:
        GraphError: a tensor or weight has another width than 8 bits.
    """
    refuse_widths(quantized, activations=BITS)
    sheet = Sheet(
        graph=quantized.graph,
        grids=quantized.qparams,
        constants=int_constants(quantized, bias=np.int32, kind="int8"),
        shape=shape,
    )
    names = [spec.name for spec in quantized.graph.inputs]
    if io == "int8":
        for name in names:
            sheet.activation(name)
        sheet.body()
        return sheet.finish(sheet.inputs(), sheet.outputs(), metadata)
    outer = {name: outer_tensor(sheet, name, io) for name in names}
    for name, number in outer.items():
        add_quantize(sheet.model, number, sheet.activation(name, label=f"{name}/int8"))
    return finish_ends(sheet, outer, io, metadata)


def finish_ends(
    sheet: Sheet, inputs: Mapping[str, int], io: Io, metadata: Mapping[str, str] | None
) -> bytes:
    """Add the body and ends of dtype ``io`` to a sheet of int8 outputs; return the content."""
    graph = sheet.graph
    if io == "int8":
        sheet.body()
        return sheet.finish(inputs, sheet.outputs(), metadata)
    sheet.body(labels={name: f"{name}/int8" for name in graph.outputs})
    ends = {name: outer_tensor(sheet, name, io) for name in graph.outputs}
    add_end = add_dequantize if io == "float32" else add_quantize
    for name, number in ends.items():
        add_end(sheet.model, sheet.numbers[name], number)
    return sheet.finish(inputs, ends, metadata)


def outer_tensor(sheet: Sheet, name: str, io: Io) -> int:
    """Add an input or output of the file that differs in dtype from the graph's int8 tensor."""
    if sheet.grids is None or io == "float32":
        return sheet.tensor(name, name, None)
    grid = sheet.grids[name]
    return sheet.typed(name, name, np.uint8, (float(grid.scale), grid.zero_point - CODE_MIN))


def refuse_widths(quantized: QuantizedGraph, *, activations: int) -> None:
    """Refuse a network whose integers no kernel of the file computes with.

    Raises:
        GraphError: names the first tensor or weight of another width.
    """
    if quantized.scheme == MIXED and (reason := refusal(quantized)) is not None:
        raise GraphError(f"{quantized.graph.name}: {reason}")
    found = {f"tensor {name}": one.bits for name, one in quantized.qparams.items()}
    weights = {f"weight of layer {name}": one.bits for name, one in quantized.weights.items()}
    allowed = {BITS, activations}
    for what, bits in (found | weights).items():
        if bits not in (allowed if what in found else {BITS}):
            reason = (
                "networks below 8 bits are simulated only, never exported"
                if bits < BITS
                else "write it as int16x8"
            )
            raise GraphError(
                f"scheme {quantized.scheme}: {what} has {bits} bits, want {BITS}; {reason}"
            )


def float32_constants(model: ModelBuilder, op: WeightedOp) -> tuple[list[int], Kind]:
    """Add weight and bias of a layer as float32."""
    weight = model.tensor(f"{op.name}/weight", op.weight.shape, np.float32, data=op.weight)
    return [weight, float32_bias(model, op.name, op.bias)], "float32"


def float32_bias(model: ModelBuilder, layer: str, bias: npt.NDArray[np.float32]) -> int:
    """Add the bias of a layer as float32."""
    return model.tensor(f"{layer}/bias", bias.shape, np.float32, data=bias)


def int_constants(
    quantized: QuantizedGraph, *, bias: type[np.signedinteger], kind: Kind
) -> Constants:
    """Return what adds int8 weights and biases of type ``bias`` with their scales."""

    def add(model: ModelBuilder, op: WeightedOp) -> tuple[list[int], Kind]:
        integers = quantized.weights[op.name]
        steps = bias_scales(quantized.qparams[op.inputs[0]].scale, integers.scales)
        weight = model.tensor(
            f"{op.name}/weight",
            integers.values.shape,
            np.int8,
            data=integers.values,
            grid=(integers.scales, 0),
            axis=channel_axis(op),
        )
        number = model.tensor(
            f"{op.name}/bias",
            integers.bias.shape,
            bias,
            data=integers.bias.astype(bias),
            grid=(steps, 0),
        )
        return [weight, number], kind

    return add
