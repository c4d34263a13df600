"""Signs of weights as bits, in the order that an instruction set reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesr.errors import GraphError

Arrangement = Literal["rows", "words", "bytes"]
"""``rows``: (outputs, side, side, words of 64 inputs); ``words``: the same with outputs last;
``bytes``: (side, side, bytes of 8 inputs, outputs)."""

ARRANGEMENTS: Mapping[str, Arrangement] = MappingProxyType(
    {
        "portable": "rows",
        "popcnt": "rows",
        "avx2": "bytes",
        "avx512": "words",
        "neon": "bytes",
        "numpy": "rows",
    }
)
"""Kernel -> how it reads weights."""

SIDES = (1, 3)
MAX_INPUTS = 7168
"""Counts of 3x3 windows stay below 2^16."""

_PAD = 32
"""Outputs are padded to a multiple of what the widest loop treats at once."""

_WORD, _BYTE = 64, 8
_CLASSES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedWeights:
    """Weights of one convolution for one kernel.

    Attributes:
        kernel: key in ``ARRANGEMENTS``.
        inputs: channels in.
        outputs: channels out.
        side: of the kernel.
        padded: outputs as they are stored.
        stride: bytes of one input pixel.
        bits: the words; a set bit is -1, and bits of no channel are 0.
        border: ``(16, padded)`` int32: what must be taken off a sum where +1 stands outside the
            image but 0 is meant, by the edges that the pixel lies at: 4 (top + 2 bottom) + left + 2
            right. Zeros where +1 is meant.
    """

    kernel: str
    inputs: int
    outputs: int
    side: int
    padded: int
    stride: int
    bits: NDArray[np.uint8]
    border: NDArray[np.int32]

    @property
    def terms(self) -> int:
        """Products that a sum has."""
        return self.side**2 * self.inputs


def arrange(minus: NDArray[np.bool_], kernel: str, *, zero_outside: bool = False) -> PackedWeights:
    """Arrange weights for a kernel.

    Args:
        minus: ``(outputs, inputs, side, side)``, where the weight is -1.
        kernel: key in ``ARRANGEMENTS``.
        zero_outside: 0 stands outside the image, not +1.

    Raises:
        GraphError: a shape that the kernels do not have.
    """
    outputs, inputs, side, width = minus.shape
    if side != width or side not in SIDES or not 1 <= inputs <= MAX_INPUTS or not outputs:
        raise GraphError(
            f"a one-bit convolution of {outputs}x{inputs}x{side}x{width} cannot be packed; want a "
            f"side of {' or '.join(map(str, SIDES))} and 1 to {MAX_INPUTS} channels"
        )
    arrangement = ARRANGEMENTS[kernel]
    group = _BYTE if arrangement == "bytes" else _WORD
    stride = -(-inputs // group) * group // _BYTE
    padded = -(-outputs // _PAD) * _PAD
    wide = np.zeros((padded, side, side, stride * _BYTE), np.bool_)
    wide[:outputs, :, :, :inputs] = minus.transpose(0, 2, 3, 1)
    packed = np.packbits(wide, axis=-1, bitorder="little")
    if arrangement == "words":
        packed = packed.reshape(padded, -1, _BYTE).transpose(1, 0, 2)
    elif arrangement == "bytes":
        packed = packed.reshape(padded, -1).T
    return PackedWeights(
        kernel=kernel,
        inputs=inputs,
        outputs=outputs,
        side=side,
        padded=padded,
        stride=stride,
        bits=np.ascontiguousarray(packed).reshape(-1),
        border=_border(minus, padded, zero_outside=zero_outside),
    )


def _border(minus: NDArray[np.bool_], padded: int, *, zero_outside: bool) -> NDArray[np.int32]:
    outputs, inputs, side, _ = minus.shape
    found = np.zeros((_CLASSES, _CLASSES, padded), np.int32)
    if not zero_outside or side == 1:
        return found.reshape(_CLASSES**2, padded)
    signs: NDArray[Any] = inputs - 2 * minus.sum(axis=1, dtype=np.int32)
    for across in range(_CLASSES):
        for along in range(_CLASSES):
            outside = np.zeros((side, side), np.bool_)
            for edge, (rows, columns) in enumerate(((0, 0), (side - 1, side - 1))):
                outside[rows] |= bool(across >> edge & 1)
                outside[:, columns] |= bool(along >> edge & 1)
            found[across, along, :outputs] = (signs * outside).sum(axis=(1, 2))
    return found.reshape(_CLASSES**2, padded)
