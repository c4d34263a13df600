"""How far an output pixel of a .tflite file sees, read from the operators in the file.

The reach is half the receptive field: the halo that makes tiling exact. A file with an operator
that moves pixels in a way not listed here has no known reach.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

_SPATIAL_RANK = 4
_SAME = 0  # tflite::Padding_SAME


@dataclass(frozen=True, kw_only=True)
class _Reach:
    """A tensor's reach in input pixels, and its pixels per input pixel along one axis."""

    radius: Fraction = Fraction(0)
    density: Fraction = Fraction(1)


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One operator with what its rule needs.

    Attributes:
        reaches: of the inputs that depend on the image.
        constants: shapes of the inputs that do not.
        options: the operator's options.
        shape_in: shape of the first input that depends on the image, as the file states it.
        shape_out: shape of the first output, as the file states it.
    """

    reaches: list[_Reach]
    constants: list[tuple[int, ...]]
    options: Any
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]


def tflite_reach(path: Path) -> int | None:
    """Return the input pixels that an output pixel of ``path`` sees to each side.

    None where an operator's reach is not known, or where the schema to read the file with is not
    installed (``tflite_runtime`` does not bring it).
    """
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        return None
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(Path(path).read_bytes(), 0))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    graph = model.subgraphs[0]
    shapes = [tuple(map(int, () if t.shape is None else t.shape)) for t in graph.tensors]
    reaches = {int(graph.inputs[0]): _Reach()}
    for operator in graph.operators:
        opcode = model.operatorCodes[operator.opcodeIndex]
        rule = _RULES.get(names[max(opcode.builtinCode, opcode.deprecatedBuiltinCode)])
        inputs = [int(index) for index in operator.inputs if index >= 0]
        seen = [index for index in inputs if index in reaches]
        if not seen:
            continue  # it works on constants: the DEQUANTIZE of a stored weight
        if rule is None:
            return None
        step = _Step(
            reaches=[reaches[index] for index in seen],
            constants=[shapes[index] for index in inputs if index not in reaches],
            options=operator.builtinOptions,
            shape_in=shapes[seen[0]],
            shape_out=shapes[int(operator.outputs[0])],
        )
        after = rule(step)
        if after is None:
            return None
        reaches.update({int(index): after for index in operator.outputs})
    last = reaches.get(int(graph.outputs[0]))
    return None if last is None else math.ceil(last.radius)


def _pointwise(step: _Step) -> _Reach | None:
    """Join tensors pixel by pixel; a constant that differs between pixels has no reach."""
    varied = any(len(c) == _SPATIAL_RANK and max(c[1:3]) > 1 for c in step.constants)
    if varied or len({reach.density for reach in step.reaches}) > 1:
        return None
    return max(step.reaches, key=lambda reach: reach.radius)


def _convolution(step: _Step) -> _Reach | None:
    """Widen by the kernel, whose weights are ``(out, kh, kw, in)`` or ``(1, kh, kw, out)``."""
    options = step.options
    if not step.constants or (options.strideH, options.strideW) != (1, 1):
        return None
    kernel = step.constants[0]
    spread = max(
        (kernel[1] - 1) * options.dilationHFactor, (kernel[2] - 1) * options.dilationWFactor
    )
    pixels = (spread + 1) // 2 if options.padding == _SAME else spread
    before = step.reaches[0]
    return _Reach(radius=before.radius + pixels / before.density, density=before.density)


def _depth_to_space(step: _Step) -> _Reach | None:
    before = step.reaches[0]
    return _Reach(radius=before.radius, density=before.density * step.options.blockSize)


def _nearest(step: _Step) -> _Reach | None:
    """Accept whole factors that the file's shapes state; files of any size do not state one."""
    factors = {Fraction(o, i) for o, i in zip(step.shape_out[1:3], step.shape_in[1:3], strict=True)}
    factor = factors.pop()
    if factors or factor.denominator != 1 or min(step.shape_in[1:3]) <= 1:
        return None
    before = step.reaches[0]
    return _Reach(radius=before.radius, density=before.density * factor)


_RULES: Mapping[str, Callable[[_Step], _Reach | None]] = MappingProxyType(
    {
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _convolution,
        "DEPTH_TO_SPACE": _depth_to_space,
        "RESIZE_NEAREST_NEIGHBOR": _nearest,
        "ADD": _pointwise,
        "SUB": _pointwise,
        "MUL": _pointwise,
        "CONCATENATION": _pointwise,
        "MINIMUM": _pointwise,
        "MAXIMUM": _pointwise,
        "RELU": _pointwise,
        "RELU6": _pointwise,
        "RELU_0_TO_1": _pointwise,
        "PRELU": _pointwise,
        "LEAKY_RELU": _pointwise,
        "LOGISTIC": _pointwise,
        "TANH": _pointwise,
        "CAST": _pointwise,
        "QUANTIZE": _pointwise,
        "DEQUANTIZE": _pointwise,
    }
)
