"""What an int16x8 file has round its graph: QUANTIZE at the ends and before DEPTH_TO_SPACE."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgesr.errors import CheckpointError
from edgesr.export.tflite import Io
from edgesr.quant.int16x8 import WIDE_BITS, WIDE_GREY_LEVELS
from edgesr.quant.scheme import CODE_MIN, GREY_LEVELS, QParams

_GREY: Mapping[Io, tuple[float, int] | None] = MappingProxyType(
    {"int8": (1.0, CODE_MIN), "uint8": (1.0, 0), "float32": None}
)
_ENDINGS: Mapping[Io, str] = MappingProxyType({"uint8": "QUANTIZE", "float32": "DEQUANTIZE"})


class File(Protocol):
    """What the functions below ask about the file."""

    grids: dict[str, QParams]
    narrowed: dict[int, int]

    def code(self, operator: Any) -> str:
        """Return an operator's name."""

    def dtype(self, number: int) -> str:
        """Return a tensor's type."""

    def grid(self, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return scales and zero points."""

    def label(self, number: int) -> str:
        """Return a tensor's name in the file."""

    def refused(self, reason: str) -> CheckpointError:
        """Return the error that says why the file is not read."""


def begins_wide(file: File, operators: list[Any]) -> bool:
    """Tell whether the file begins with a QUANTIZE to int16."""
    begins = bool(operators) and file.code(operators[0]) == "QUANTIZE"
    return begins and file.dtype(int(operators[0].outputs[0])) == "INT16"


def peel_wide(
    file: File, operators: list[Any], ends: tuple[int, int], io: Io
) -> tuple[tuple[int, int], list[Any], dict[int, int]]:
    """Return the inner ends of the file, the operators of its graph, and what stands for what.

    A QUANTIZE to int8 before a DEPTH_TO_SPACE is no operator of the graph: its output stands for
    its input.

    Raises:
        CheckpointError: the ends are none of an int16x8 file.
    """
    first, last = ends
    inner, inner_last = int(operators[0].outputs[0]), last
    rest = operators[1:]
    if int(operators[0].inputs[0]) != first:
        raise file.refused("the QUANTIZE to int16 does not read the input")
    if io in _ENDINGS:
        if not rest or file.code(rest[-1]) != _ENDINGS[io] or int(rest[-1].outputs[0]) != last:
            raise file.refused(f"{io} output without {_ENDINGS[io]} at the end")
        inner_last, rest = int(rest[-1].inputs[0]), rest[:-1]
    wanted = _GREY[io]
    for number in ends:
        if wanted is not None and _pair(file, number) != wanted:
            raise file.refused(f"tensor {file.label(number)!r} is not on whole grey levels")
    kept: list[Any] = []
    narrowed: dict[int, int] = {}
    for one in rest:
        source, target = int(one.inputs[0]), int(one.outputs[0])
        types = file.dtype(source), file.dtype(target)
        if file.code(one) == "QUANTIZE" and types == ("INT16", "INT8"):
            narrowed[target] = source
        else:
            kept.append(one)
    return (inner, inner_last), kept, narrowed


def check_wide(file: File, source: str, target: str) -> None:
    """Refuse an int16x8 file that the simulation does not stand for.

    Raises:
        CheckpointError: an end is not on grey levels, or int8 is found elsewhere than at the end.
    """
    if file.grids[source] != WIDE_GREY_LEVELS or file.grids[target] != GREY_LEVELS:
        raise file.refused("input or output is not on the grey levels of an int16x8 file")
    narrow = [name for name, one in file.grids.items() if one.bits != WIDE_BITS]
    grey = all(_pair(file, number) == _GREY["int8"] for number in file.narrowed)
    if narrow != [target] or not grey:
        raise file.refused("an int8 tensor inside is not the image at the end")
    if any(one.zero_point for one in file.grids.values() if one.bits == WIDE_BITS):
        raise file.refused("an int16 tensor has a zero point")


def _pair(file: File, number: int) -> tuple[float, int]:
    scales, zeros = file.grid(number)
    return float(scales[0]), int(zeros[0])
