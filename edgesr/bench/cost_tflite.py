"""Costs of a .tflite file, read from its operators."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgesr.bench.cost_memory import Step, peak_size
from edgesr.bench.cost_types import MIB, Complexity, OperatorCost, disagreements
from edgesr.errors import CheckpointError, MissingDependencyError
from edgesr.litert import open_model
from edgesr.upscalers.reach import tflite_reach

DEFAULT_SHAPE = (256, 256)

_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
_WEIGHTED = _CONVOLUTIONS | {"FULLY_CONNECTED"}
_ACTIVATIONS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "PRELU", "ELU"})
_COUNTED_ACTIVATIONS = _ACTIVATIONS | {"LEAKY_RELU"}
_OPAQUE = frozenset({"CUSTOM", "DELEGATE", "CALL", "CALL_ONCE", "IF", "WHILE"})
_FVCORE_EXTRAS: Mapping[str, tuple[str, int]] = {
    "RESIZE_BILINEAR": ("bilinear resizing at 4 an element", 4),
    "RESIZE_NEAREST_NEIGHBOR": ("nearest resizing", 1),
}
_BITS: Mapping[str, int] = {"INT4": 4, "BOOL": 8}
_MATRIX_TYPES: Mapping[str, type[np.generic]] = {
    "INT8": np.int8,
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
}


@dataclass(frozen=True, kw_only=True)
class _Operator:
    """One operator: its name, tensors by number, and the activation fused into it."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    fused: str


@dataclass(frozen=True, kw_only=True)
class CountedFile:
    """A file with the shapes that its tensors have for one image size.

    ``unpacked`` leads from a weight behind a DEQUANTIZE to the constant that the file stores.
    """

    operators: tuple[_Operator, ...]
    shapes: Mapping[int, tuple[int, ...]]
    types: Sequence[str]
    buffers: Sequence[Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    unpacked: Mapping[int, int]

    def size(self, number: int) -> int:
        """Return the elements of a tensor."""
        return int(np.prod(self.shapes[number], dtype=np.int64))

    def is_constant(self, number: int) -> bool:
        """Tell whether the file holds the tensor's values, stored as they are or narrower."""
        return self.buffers[self.stored(number)] is not None

    def stored(self, number: int) -> int:
        """Return the tensor that the file stores for a weight."""
        return self.unpacked.get(number, number)


def tflite_complexity(
    path: Path, *, shape: tuple[int, int] | None = None, name: str | None = None
) -> Complexity:
    """Count what a .tflite file does for one image.

    Under ``ntire22`` every operator counts as if it were a module that the tool hooks.

    Args:
        path: file.
        shape: ``(h, w)`` of the image; default is the file's fixed size or 256 x 256.
        name: for results; default is the path.

    Raises:
        CheckpointError: the file is missing, damaged or no super-resolution model.
        DataError: the file is of another fixed size.
        MissingDependencyError: the runtime that is installed brings no schema.
    """
    model = open_model(path, kernels="builtin")
    size = shape or model.fixed_shape or DEFAULT_SHAPE
    file = file_of(_content(path), model.tensor_shapes(size))
    found = counted(file, shape=size, name=name or str(path), scale=model.scale)
    reach = tflite_reach(Path(path))
    warnings = found.warnings
    if reach is None:
        warnings = (*warnings, "no receptive field: the reach of an operator is not known")
    return replace(
        found,
        stored_bytes=Path(path).stat().st_size,
        receptive_field=None if reach is None else 2 * reach + 1,
        warnings=warnings,
    )


def counted(
    file: CountedFile, *, shape: tuple[int, int], name: str, scale: int | None
) -> Complexity:
    """Count what a subgraph does for one image, its size in bytes and its reach left out.

    Args:
        file: the subgraph with the shapes that its tensors have for the image.
        shape: ``(h, w)`` of the image, for results.
        name: for results.
        scale: upscaling factor.
    """
    macs = [_macs(file, operator) for operator in file.operators]
    convs = [op for op in file.operators if op.name in _CONVOLUTIONS]
    activations = sum(file.size(op.outputs[0]) for op in convs)
    gaps = _gaps(file, macs)
    params, frozen = _params(file)
    opaque = sorted({op.name for op in file.operators if op.name in _OPAQUE})
    warnings = [f"{one} operators are counted as 0 by every counter" for one in opaque]
    warnings += disagreements(sum(macs), gaps)
    return Complexity(
        name=name,
        kind="tflite",
        shape=shape,
        scale=scale,
        params=params,
        trainable_params=params - frozen,
        frozen_params=frozen,
        unused_params=0,
        stored_bytes=0,
        macs=sum(macs),
        ntire22_flops=sum(macs) + sum(gaps["ntire22"].values()),
        fvcore_flops=sum(macs) + sum(gaps["fvcore"].values()),
        activations=activations,
        convs=len(convs),
        all_activations=activations,
        all_convs=len(convs),
        receptive_field=None,
        peak_memory_mib=_peak(file, {}) / MIB,
        peak_memory_int8_mib=_peak(file, {"": 1}) / MIB,
        peak_memory_float32_mib=_peak(file, {"": 4}) / MIB,
        operators=_operators(file, macs),
        gaps=gaps,
        warnings=tuple(warnings),
    )


def _content(path: Path) -> Any:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: counting it needs the schema in ai_edge_litert; pip install ai-edge-litert"
        ) from error
    content = schema.ModelT.InitFromObj(schema.Model.GetRootAs(Path(path).read_bytes(), 0))
    if len(content.subgraphs) != 1:
        raise CheckpointError(f"{path}: has {len(content.subgraphs)} subgraphs, want one")
    return content


def file_of(content: Any, shapes: Mapping[int, tuple[int, ...]]) -> CountedFile:
    """Return the first subgraph of a file.

    Args:
        content: LiteRT's ``ModelT``.
        shapes: of its tensors, by number.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = content.subgraphs[0]
    names = _by_number(schema.BuiltinOperator)
    fusions = _by_number(schema.ActivationFunctionType)
    operators = []
    for operator in graph.operators:
        code = content.operatorCodes[operator.opcodeIndex]
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        operators.append(
            _Operator(
                name=names[max(code.builtinCode, code.deprecatedBuiltinCode)],
                inputs=tuple(int(number) for number in operator.inputs if number >= 0),
                outputs=tuple(int(number) for number in operator.outputs),
                fused=fusions.get(fused, "NONE"),
            )
        )
    types = _by_number(schema.TensorType)
    buffers = [content.buffers[tensor.buffer].data for tensor in graph.tensors]
    unpacked = {
        one.outputs[0]: one.inputs[0]
        for one in operators
        if one.name == "DEQUANTIZE" and buffers[one.inputs[0]] is not None
    }
    return CountedFile(
        operators=tuple(operators),
        shapes=shapes,
        types=[types[tensor.type] for tensor in graph.tensors],
        buffers=buffers,
        unpacked=unpacked,
        inputs=tuple(int(number) for number in graph.inputs),
        outputs=tuple(int(number) for number in graph.outputs),
    )


def _by_number(names: type) -> dict[int, str]:
    return {number: name for name, number in vars(names).items() if name[0] != "_"}


def _macs(file: CountedFile, operator: _Operator) -> int:  # noqa: PLR0911 - one case an operator
    if not operator.outputs:
        return 0
    made = file.size(operator.outputs[0])
    match operator.name:
        case "CONV_2D":
            _, height, width, per_group = file.shapes[operator.inputs[1]]
            return made * height * width * per_group
        case "DEPTHWISE_CONV_2D":
            _, height, width, _ = file.shapes[operator.inputs[1]]
            return made * height * width
        case "TRANSPOSE_CONV":
            count, height, width, _ = file.shapes[operator.inputs[1]]
            return file.size(operator.inputs[2]) * count * height * width
        case "FULLY_CONNECTED":
            return made * file.shapes[operator.inputs[1]][-1]
        case "BATCH_MATMUL":
            return made * file.shapes[operator.inputs[0]][-1]
        case _:
            return 0


def _gaps(file: CountedFile, macs: Sequence[int]) -> dict[str, dict[str, int]]:
    ntire22: dict[str, int] = defaultdict(int)
    fvcore: dict[str, int] = defaultdict(int)
    for operator, true in zip(file.operators, macs, strict=True):
        made = sum(file.size(number) for number in operator.outputs)
        if operator.name in _COUNTED_ACTIVATIONS or operator.fused in _ACTIVATIONS:
            ntire22["activations at 1 an element"] += made
        if operator.name == "TRANSPOSE_CONV":
            _, height, width, _ = file.shapes[operator.outputs[0]]
            _, above, across, _ = file.shapes[operator.inputs[2]]
            more = true * height * width // (above * across) - true
            ntire22["transposed convolutions taken at output pixels"] += more
        if operator.name in _FVCORE_EXTRAS:
            cause, factor = _FVCORE_EXTRAS[operator.name]
            fvcore[cause] += factor * made
    return {"ntire22": dict(ntire22), "fvcore": dict(fvcore)}


def _params(file: CountedFile) -> tuple[int, int]:
    """Return all parameters, and those of convolutions that only copy channels."""
    total = frozen = 0
    seen: set[int] = set()
    for operator in file.operators:
        constants = [number for number in operator.inputs if file.is_constant(number)]
        if operator.name == "PRELU":
            total += sum(map(file.size, constants))
        if operator.name not in _WEIGHTED or len(operator.inputs) < len(("x", "w")):
            continue
        weight = file.stored(operator.inputs[1])
        # equal weights are stored once: the same buffer read twice is one layer used twice
        if not file.is_constant(weight) or id(file.buffers[weight]) in seen:
            continue
        seen.add(id(file.buffers[weight]))
        if _is_selection(file, operator):
            total, frozen = total + file.size(weight), frozen + file.size(weight)
            continue
        biases = [n for n in operator.inputs[2:] if file.is_constant(n)]
        total += file.size(weight) + sum(map(file.size, biases))
    return total, frozen


def _is_selection(file: CountedFile, operator: _Operator) -> bool:
    """Tell whether a 1x1 convolution copies channels: one number, once in every row, no bias."""
    weight = file.stored(operator.inputs[1])
    shape, kind = file.shapes[weight], file.types[weight]
    dtype = _MATRIX_TYPES.get(kind)
    if operator.name != "CONV_2D" or shape[1:3] != (1, 1) or dtype is None:
        return False
    matrix = np.frombuffer(bytes(file.buffers[weight]), dtype).reshape(shape[0], shape[3])
    biases = [np.asarray(file.buffers[number]) for number in operator.inputs[2:]]
    one = matrix.max(initial=0)
    return bool(
        one > 0
        and np.isin(matrix, (0, one)).all()
        and (np.count_nonzero(matrix, axis=1) == 1).all()
        and not any(bias.any() for bias in biases)
        and operator.fused == "NONE"
    )


def _peak(file: CountedFile, bytes_each: Mapping[str, int]) -> int:
    """Return the bytes alive at once, with the file's types or one width for all (key "")."""
    steps, sizes = [], {}
    for operator in file.operators:
        if operator.outputs[0] in file.unpacked:
            continue  # a weight, not an activation
        reads = {number for number in operator.inputs if not file.is_constant(number)}
        steps.append(Step(reads=frozenset(reads), writes=frozenset(operator.outputs)))
        for number in reads | set(operator.outputs):
            bits = 8 * bytes_each.get("", 0) or _bits(file.types[number])
            sizes[number] = file.size(number) * bits // 8
    return peak_size(steps, sizes, inputs=file.inputs, outputs=file.outputs)


def _bits(kind: str) -> int:
    digits = "".join(character for character in kind if character.isdigit())
    return _BITS.get(kind) or int(digits or 8)


def _operators(file: CountedFile, macs: Sequence[int]) -> dict[str, OperatorCost]:
    calls, spent = Counter[str](), Counter[str]()
    for operator, count in zip(file.operators, macs, strict=True):
        calls[operator.name] += 1
        spent[operator.name] += count
    return {name: OperatorCost(calls=calls[name], macs=spent[name]) for name in sorted(calls)}
