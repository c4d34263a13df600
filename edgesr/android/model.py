"""What a .tflite file is, as far as a measurement must know and keep it."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesr.errors import CheckpointError, DataError, UsageError
from edgesr.lint.model import NUMPY
from edgesr.lint.reader import read_bytes

if TYPE_CHECKING:
    from edgesr.lint.model import Operator, Subgraph, Tensor

_IMAGE_RANK = 4


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A file to measure.

    Attributes:
        name: what results call it.
        path: where it is.
        content: its bytes, fixed to one size where the file takes every size.
        source_sha256: hash of the file on disk.
        inputs: shape, dtype, scale and zero point of each.
        outputs: likewise.
        operators: name -> how many.
        signatures: names.
        dynamic: an input's size is still open.
        least_bytes: memory of the operator that reads and writes most; no runtime needs less.
    """

    name: str
    path: Path
    content: bytes
    source_sha256: str
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    operators: Mapping[str, int]
    signatures: tuple[str, ...]
    dynamic: bool
    least_bytes: int = 0

    @property
    def sha256(self) -> str:
        """Hash of what the phone gets."""
        return hashlib.sha256(self.content).hexdigest()

    def document(self) -> dict[str, Any]:
        """Return the JSON-able description that results keep."""
        return {
            "name": self.name,
            "path": self.path.name,
            "sha256": self.sha256,
            "source_sha256": self.source_sha256,
            "bytes": len(self.content),
            "inputs": [dict(one) for one in self.inputs],
            "outputs": [dict(one) for one in self.outputs],
            "ops": dict(self.operators),
        }


def read_model_file(
    path: Path, *, shape: tuple[int, int] | None = None, name: str | None = None
) -> ModelFile:
    """Read a file, and fix its size where it takes every size.

    Args:
        path: file.
        shape: height and width of the input; needed where the file takes every size.
        name: what results call it; default is the file's stem.

    Raises:
        CheckpointError: the file is missing, damaged, or no .tflite.
        UsageError: the size is open and ``shape`` is missing.
        DataError: the file takes another fixed size.
    """
    read = _read(path, read_bytes(path), name or path.stem)
    if not read.dynamic:
        height_width = tuple(read.inputs[0]["shape"][1:3])
        if shape is not None and height_width != shape:
            raise DataError(
                f"{path}: takes {'x'.join(map(str, height_width))} only, want "
                f"{shape[0]}x{shape[1]}; export it with --shape {shape[0]}x{shape[1]}"
            )
        return read
    if shape is None:
        raise UsageError(
            f"{path}: takes every size, so that a number means nothing without one; add --shape "
            "360x640"
        )
    return _fixed(read, shape)


def check_signature(model: ModelFile, signature: str | None) -> None:
    """Refuse a signature that the file does not have, or the lack of one where it has several.

    Raises:
        UsageError: either is so.
    """
    listed = ", ".join(model.signatures) or "none"
    if signature is not None and signature not in model.signatures:
        raise UsageError(f"{model.path}: no signature {signature!r}; it has: {listed}")
    if signature is None and len(model.signatures) > 1:
        raise UsageError(f"{model.path}: has several signatures ({listed}); add --signature")


def _fixed(model: ModelFile, shape: tuple[int, int]) -> ModelFile:
    """Give every tensor the shape that LiteRT plans for one input size; nothing else changes."""
    from edgesr.lint.edit import Editor, NotPossibleError
    from edgesr.lint.reader import read_model

    graph = read_model(model.content, str(model.path)).subgraphs[0]
    try:
        editor = Editor(model.content, graph)
        editor.set_shapes(_planned(model, shape))
        fixed = _read(model.path, editor.pack(), model.name)
    except (NotPossibleError, CheckpointError, MemoryError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{model.path}: cannot be fixed to {shape[0]}x{shape[1]} "
            f"({' '.join(str(error).split())[:160]}); export it with --shape {shape[0]}x{shape[1]}"
        ) from error
    return replace(fixed, source_sha256=model.source_sha256)


def _planned(model: ModelFile, shape: tuple[int, int]) -> dict[int, tuple[int, ...]]:
    """Return the shape of every tensor of the first subgraph, by number."""
    from edgesr.litert import open_interpreter

    interpreter = open_interpreter(model.content, kernels="builtin")
    for one in interpreter.get_input_details():
        size = [int(side) for side in one["shape"]]
        for axis, side in enumerate(one["shape_signature"]):
            if side < 0:
                size[axis] = shape[axis - 1] if len(size) == _IMAGE_RANK and axis in {1, 2} else 1
        interpreter.resize_tensor_input(one["index"], size)
    interpreter.allocate_tensors()
    return {
        one["index"]: tuple(int(side) for side in one["shape"])
        for one in interpreter.get_tensor_details()
    }


def _read(path: Path, content: bytes, name: str) -> ModelFile:
    from edgesr.lint.reader import read_model

    read = read_model(content, str(path))
    graph = read.subgraphs[0]
    counted = Counter(one.name for one in graph.operators)
    inputs, outputs = (
        [graph.tensors[number] for number in numbers] for numbers in (graph.inputs, graph.outputs)
    )
    if not inputs or not outputs:
        raise CheckpointError(f"{path}: has no input or no output, want a network")
    return ModelFile(
        name=name,
        path=Path(path),
        content=content,
        source_sha256=hashlib.sha256(content).hexdigest(),
        inputs=tuple(map(_end, inputs)),
        outputs=tuple(map(_end, outputs)),
        operators=dict(sorted(counted.items())),
        signatures=tuple(key for key, _ in read.signatures),
        dynamic=any(-1 in one.signature[1:] for one in inputs),
        least_bytes=max((_bytes(graph, one) for one in graph.operators), default=0),
    )


def _bytes(graph: "Subgraph", op: "Operator") -> int:
    """Return the bytes of what an operator reads and writes; constants are in the file."""
    moved = {one.index: one for one in (*graph.read(op), *graph.made(op)) if not one.constant}
    return sum(
        math.prod(one.shape) * np.dtype(NUMPY.get(one.dtype, np.int8)).itemsize
        for one in moved.values()
    )


def _end(tensor: "Tensor") -> dict[str, Any]:
    return {
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.lower(),
        "scale": tensor.scales[0] if tensor.scales else None,
        "zero_point": tensor.zero_points[0] if tensor.zero_points else None,
    }
