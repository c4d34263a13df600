"""Write a ``wi8_ai16`` network as a .tflite file: int16 activations, int8 weights, int64 biases.

The file begins with QUANTIZE from the image's type to int16 and ends in int8: DEPTH_TO_SPACE has no
int16 kernel in LiteRT, so a QUANTIZE onto grey levels stands before it.
"""

from collections.abc import Mapping

import numpy as np

from edgesr.errors import GraphError
from edgesr.export.lowering import add_quantize
from edgesr.export.sheet import Sheet
from edgesr.export.tflite import Io, finish_ends, int_constants, refuse_widths
from edgesr.graph.graph import producers
from edgesr.graph.ops import DepthToSpace
from edgesr.quant.int16x8 import WIDE_BITS
from edgesr.quant.scheme import GREY_LEVELS, QuantizedGraph


def write_int16x8(
    quantized: QuantizedGraph,
    *,
    io: Io = "int8",
    shape: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of an int16x8 file.

    Args:
        quantized: network from ``quantize_graph_int16``.
        io: dtype of input and output; the output has 8 bits of content whatever it is.
        shape: height and width of the only input size, or None for every size.
        metadata: text entries for the file; keys start with ``edgesr``.

    Raises:
        GraphError: a weight has not 8 bits, or the network does not end in DEPTH_TO_SPACE.
    """
    refuse_widths(quantized, activations=WIDE_BITS)
    graph = quantized.graph
    made_by = producers(graph)
    for name in graph.outputs:
        if not isinstance(made_by.get(name), DepthToSpace):
            raise GraphError(f"{graph.name}: output {name!r} is not made by DEPTH_TO_SPACE")
    sheet = Sheet(
        graph=graph,
        grids=quantized.qparams,
        constants=int_constants(quantized, bias=np.int64, kind="int16"),
        shape=shape,
    )
    outer = {spec.name: _outer(sheet, spec.name, io) for spec in graph.inputs}
    for name, number in outer.items():
        inner = sheet.activation(name, label=f"{name}/int16")
        add_quantize(sheet.model, number, inner, wide=True)
    return finish_ends(sheet, outer, io, metadata)


def _outer(sheet: Sheet, name: str, io: Io) -> int:
    """Add an input of the file: grey levels in ``io``."""
    if io == "float32":
        return sheet.tensor(name, name, None)
    if io == "int8":
        return sheet.tensor(name, name, GREY_LEVELS)
    return sheet.typed(name, name, np.uint8, (1.0, 0))
