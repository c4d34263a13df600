"""What the linter knows of a .tflite file: plain values, every subgraph and signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

NUMPY: Mapping[str, npt.DTypeLike] = {
    "BOOL": np.bool_,
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "FLOAT64": np.float64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
}
"""The types of a file whose elements numpy reads as they are."""

CODES: Mapping[str, tuple[int, int]] = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
}
"""Smallest and largest code of a quantized activation."""

FLOATS = frozenset({"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16"})


MOVERS = frozenset(
    {
        "BATCH_TO_SPACE_ND",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "PACK",
        "RESHAPE",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    }
)
"""Operators that copy codes, so that input and output have one scale."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """One tensor.

    Attributes:
        index: number in its subgraph.
        name: name in the file.
        shape: sizes; free ones hold what the writer put there.
        signature: like ``shape`` with -1 where a size is free; equal to it where none is.
        dtype: such as ``INT8``.
        data: bytes of a constant, None for what is computed.
        scales: one, one per channel, or none.
        zero_points: as many.
        axis: channel axis of several scales.
        variable: whether it keeps its value from run to run.
        sparse: whether ``data`` leaves out zeros.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    data: memoryview | None
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    variable: bool = False
    sparse: bool = False

    @property
    def constant(self) -> bool:
        """Whether the file holds its values."""
        return self.data is not None

    @property
    def free(self) -> bool:
        """Whether a size is chosen when the model is loaded."""
        return -1 in self.signature

    @property
    def integer(self) -> bool:
        """Whether it holds codes of a quantized activation."""
        return self.dtype in CODES

    @property
    def grid(self) -> tuple[float, int] | None:
        """Scale and zero point where there is one pair."""
        return (self.scales[0], self.zero_points[0]) if len(self.scales) == 1 else None

    def values(self) -> npt.NDArray[Any] | None:
        """Return the values of a constant of a type that numpy has, else None."""
        if self.data is None or self.sparse or self.dtype not in NUMPY:
            return None
        return np.frombuffer(self.data, NUMPY[self.dtype]).reshape(self.shape)

    def __str__(self) -> str:
        return self.name or f"tensor {self.index}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Operator:
    """One operator.

    Attributes:
        index: place in its subgraph's order.
        name: such as ``CONV_2D``; ``CUSTOM:name`` for custom ones.
        version: of the operator.
        inputs: tensor numbers, -1 for one left out.
        outputs: tensor numbers.
        options: by name of ``edgesr.lint.options``.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, float]

    def option(self, name: str) -> int:
        """Return a whole-number option."""
        return int(self.options.get(name, 0))

    def __str__(self) -> str:
        return f"operator {self.index} ({self.name})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Subgraph:
    """One subgraph: operators run in order."""

    index: int
    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def makers(self) -> Mapping[int, Operator]:
        """Return the operator that makes a tensor, by tensor."""
        return {one: op for op in self.operators for one in op.outputs}

    @cached_property
    def readers(self) -> Mapping[int, tuple[Operator, ...]]:
        """Return the operators that read a tensor, by tensor."""
        found: dict[int, list[Operator]] = {}
        for op in self.operators:
            for one in dict.fromkeys(op.inputs):
                found.setdefault(one, []).append(op)
        return {one: tuple(ops) for one, ops in found.items()}

    def read(self, op: Operator) -> list[Tensor]:
        """Return the inputs that are not left out."""
        return [self.tensors[one] for one in op.inputs if one >= 0]

    def flow(self, op: Operator) -> list[Tensor]:
        """Return the inputs that are computed; the first input where all are constants."""
        read = self.read(op)
        return [one for one in read if not one.constant] or read[:1]

    def made(self, op: Operator) -> list[Tensor]:
        """Return the outputs."""
        return [self.tensors[one] for one in op.outputs]

    def input(self, op: Operator, place: int) -> Tensor | None:
        """Return one input, or None where it is left out."""
        if place >= len(op.inputs) or op.inputs[place] < 0:
            return None
        return self.tensors[op.inputs[place]]

    def follower(self, tensor: int) -> Operator | None:
        """Return the only reader of a tensor that is no output of the subgraph."""
        readers = self.readers.get(tensor, ())
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None

    @property
    def ends(self) -> frozenset[int]:
        """Return the inputs and outputs."""
        return frozenset({*self.inputs, *self.outputs})


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """One file.

    Attributes:
        subgraphs: all of them.
        signatures: key and subgraph number.
        size: bytes.
    """

    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[tuple[str, int], ...]
    size: int
