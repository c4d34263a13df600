"""What a .tflite file is, as far as a measurement must know and keep it."""

import hashlib
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesr.errors import CheckpointError, DataError, UsageError


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
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from error
    read = _read(path, content, name or path.stem)
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
    from edgesr.export.read import read_model
    from edgesr.export.tflite import write_int8
    from edgesr.quant.scheme import WI8_AI8

    try:
        read = read_model(model.content)
    except CheckpointError as error:
        raise CheckpointError(
            f"{model.path}: cannot be fixed to {shape[0]}x{shape[1]} ({error}); export it with "
            f"--shape {shape[0]}x{shape[1]}"
        ) from error
    if read.quantized.scheme != WI8_AI8:
        raise CheckpointError(
            f"{model.path}: only int8 files can be fixed to a size here; export it with --shape "
            f"{shape[0]}x{shape[1]}"
        )
    content = write_int8(read.quantized, io=read.io, shape=shape, metadata=read.metadata)
    fixed = _read(model.path, content, model.name)
    return ModelFile(**{**vars(fixed), "source_sha256": model.source_sha256})


def _read(path: Path, content: bytes, name: str) -> ModelFile:
    from ai_edge_litert import schema_py_generated as schema

    mark = content[4:8]
    if mark != b"TFL3":
        raise CheckpointError(
            f"{path}: {len(content)} bytes without the TFL3 mark, want a .tflite file"
        )
    try:
        packed = schema.ModelT.InitFromPackedBuf(content)
        graph = packed.subgraphs[0]
        names = {code: key for key, code in vars(schema.BuiltinOperator).items() if key.isupper()}
        codes = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in packed.operatorCodes]
        counted = Counter(names[codes[one.opcodeIndex]] for one in graph.operators)
        ends = [[graph.tensors[i] for i in numbers] for numbers in (graph.inputs, graph.outputs)]
        inputs, outputs = (tuple(_tensor(one, schema) for one in end) for end in ends)
    except (struct.error, LookupError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: {len(content)} bytes are damaged or truncated; copy it again"
        ) from error
    if not inputs:
        raise CheckpointError(f"{path}: has no input, want a network")
    return ModelFile(
        name=name,
        path=Path(path),
        content=content,
        source_sha256=hashlib.sha256(content).hexdigest(),
        inputs=inputs,
        outputs=outputs,
        operators=dict(sorted(counted.items())),
        signatures=tuple(_text(one.signatureKey) for one in packed.signatureDefs or ()),
        dynamic=any(_is_open(one) for one in ends[0]),
    )


def _is_open(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is not None and any(int(side) < 0 for side in list(signature)[1:])


def _tensor(tensor: Any, schema: Any) -> dict[str, Any]:
    types = {code: key for key, code in vars(schema.TensorType).items() if key.isupper()}
    grid = tensor.quantization
    scales = [] if grid is None or grid.scale is None else list(grid.scale)
    points = [] if grid is None or grid.zeroPoint is None else list(grid.zeroPoint)
    return {
        "shape": [int(side) for side in tensor.shape],
        "dtype": types[tensor.type].lower(),
        "scale": float(scales[0]) if scales else None,
        "zero_point": int(points[0]) if points else None,
    }


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
