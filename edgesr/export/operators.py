"""Which operators and types a file of each kind may hold, in order, and whether it does."""

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgesr.export.inspect import read_content
from edgesr.graph.ops import (
    Add,
    Clip,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Op,
    Pad,
    Relu,
    Relu6,
    SpaceToDepth,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgesr.export.tflite import Io
    from edgesr.graph.graph import Graph

OPERATORS: "Mapping[type, str]" = MappingProxyType(
    {
        Conv2D: "CONV_2D",
        DepthwiseConv2D: "DEPTHWISE_CONV_2D",
        Add: "ADD",
        Concatenation: "CONCATENATION",
        DepthToSpace: "DEPTH_TO_SPACE",
        SpaceToDepth: "SPACE_TO_DEPTH",
        Pad: "PAD",
        Relu: "RELU",
        Relu6: "RELU6",
    }
)
"""The operators that an integer file may hold between its ends, by operation of the graph."""

INT8_TYPES = frozenset({"INT8", "INT32"})
INT16_TYPES = frozenset({"INT8", "INT16", "INT32", "INT64"})
FLOAT_TYPES = frozenset({"FLOAT32", "INT32"})

_INT8_ENDS: "Mapping[str, tuple[str, ...]]" = MappingProxyType(
    {
        "int8": (),
        "uint8": ("QUANTIZE", "QUANTIZE"),
        "float32": ("QUANTIZE", "DEQUANTIZE"),
    }
)
_INT16_END: "Mapping[str, tuple[str, ...]]" = MappingProxyType(
    {"int8": (), "uint8": ("QUANTIZE",), "float32": ("DEQUANTIZE",)}
)


def check_operators(
    content: bytes, graph: "Graph", io: "Io", *, subgraph: int = 0
) -> tuple[str, ...]:
    """Return what is wrong with the operators of an int8 file; nothing when it is clean.

    The subgraph must hold the graph's operations one to one, in order, and between its ends int8
    and int32 tensors only: no TRANSPOSE, no clip, no float operator.
    """
    ends = _INT8_ENDS[io]
    wanted = (*ends[:1], *map(_name, graph.ops), *ends[1:])
    return operator_problems(content, wanted, types=INT8_TYPES, kind="int8", subgraph=subgraph)


def int16_operators(graph: "Graph", io: "Io") -> tuple[str, ...]:
    """Return the operators of an int16x8 file in order."""
    body: list[str] = []
    narrow: set[str] = set()
    for op in graph.ops:
        if isinstance(op, DepthToSpace):
            body += [] if op.inputs[0] in narrow else ["QUANTIZE"]
            narrow.add(op.output)
        body.append(_name(op))
    return ("QUANTIZE", *body, *_INT16_END[io])


def float_operators(graph: "Graph", unpacked: Callable[[Op], bool]) -> tuple[str, ...]:
    """Return the operators of a file that computes in float32, in order.

    Args:
        graph: lowered network.
        unpacked: tells whether the weight of a layer stands behind a DEQUANTIZE.
    """
    wanted: list[str] = []
    for op in graph.ops:
        if isinstance(op, Clip):
            wanted += ["MINIMUM", "RELU" if op.low == 0.0 else "MAXIMUM"]
            continue
        if isinstance(op, (Conv2D, DepthwiseConv2D)) and unpacked(op):
            wanted.append("DEQUANTIZE")
        wanted.append(_name(op))
    return tuple(wanted)


def operator_problems(
    content: bytes,
    wanted: tuple[str, ...],
    *,
    types: frozenset[str],
    kind: str,
    subgraph: int = 0,
) -> tuple[str, ...]:
    """Return what is wrong with a file's operators and types; nothing when it is clean.

    Args:
        content: the file.
        wanted: operators in order.
        types: allowed types of all tensors but the inputs and outputs.
        kind: what such files are called, for messages.
        subgraph: number of the one that is looked at.
    """
    found = read_content(content, subgraph=subgraph)
    problems: list[str] = []
    foreign = sorted(set(found.operators) - {*OPERATORS.values(), *wanted})
    if foreign:
        problems.append(f"operator {', '.join(foreign)} is not allowed in an {kind} file")
    elif found.operators != wanted:
        problems.append(f"operators are {' '.join(found.operators)}, want {' '.join(wanted)}")
    others = sorted(found.inner_types - types)
    if others:
        problems.append(f"inner tensors are {', '.join(others)}, want {_listed(types)}")
    return tuple(problems)


def _name(op: Op) -> str:
    return OPERATORS.get(type(op), type(op).__name__)


def _listed(types: frozenset[str]) -> str:
    *first, last = sorted(types, key=lambda name: (len(name), name))
    return f"{', '.join(first)} and {last}"
