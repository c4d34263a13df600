"""Change a .tflite file operator by operator and pack it again."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgesr.export.flatbuffer import _AlignedBuffer
from edgesr.lint.model import Operator, Subgraph

_MARK = b"TFL3"
_HIGHEST_OLD_CODE = 127
_BY_OPERATOR = frozenset({"model_control_dependencies"})


class NotPossibleError(ValueError):
    """A rewrite that this file does not allow, and why."""


class Editor:
    """One file while it is changed.

    Args:
        content: a file that the linter could read.
        graph: the subgraph to change, as it was read.

    Raises:
        NotPossibleError: the file holds what refers to operators by number, or data behind it.
    """

    def __init__(self, content: bytes, graph: Subgraph) -> None:
        self._model = schema.ModelT.InitFromPackedBuf(content)
        self.graph = graph
        self._sheet = self._model.subgraphs[graph.index]
        self._removed: set[int] = set()
        for entry in self._model.metadata or ():
            if (entry.name or b"").decode(errors="replace") in _BY_OPERATOR:
                raise NotPossibleError("the file lists dependencies by operator number")
        if any(one.size for one in self._model.buffers):
            raise NotPossibleError("the file keeps its constants behind the flatbuffer")

    def options(self, op: Operator) -> Any:
        """Return the options object of an operator, to be changed."""
        return self._sheet.operators[op.index].builtinOptions

    def remove(self, op: Operator) -> None:
        """Leave an operator out."""
        self._removed.add(op.index)

    def replace(  # noqa: PLR0913 - an operator has that many parts
        self,
        op: Operator,
        name: str,
        *,
        version: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: tuple[int, Any] | None = None,
    ) -> None:
        """Put another operator into the place of ``op``."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, name), version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptionsType, operator.builtinOptions = options
        self._sheet.operators[op.index] = operator

    def set_version(self, op: Operator, version: int) -> None:
        """Give an operator another version."""
        entry = self._model.operatorCodes[self._sheet.operators[op.index].opcodeIndex]
        code = max(entry.builtinCode, entry.deprecatedBuiltinCode)
        self._sheet.operators[op.index].opcodeIndex = self._code(code, version)

    def set_inputs(self, op: Operator, inputs: Sequence[int]) -> None:
        """Let an operator read other tensors."""
        self._sheet.operators[op.index].inputs = list(inputs)

    def set_outputs(self, op: Operator, outputs: Sequence[int]) -> None:
        """Let an operator write other tensors."""
        self._sheet.operators[op.index].outputs = list(outputs)

    def set_shapes(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        """Give tensors fixed shapes, by number; those that the subgraph lacks are left out."""
        for number, tensor in enumerate(self._sheet.tensors):
            if number in shapes:
                tensor.shape, tensor.shapeSignature = list(shapes[number]), None

    def skip(self, source: int, result: int) -> None:
        """Let everything that read ``result`` read ``source``, whose values are the same.

        Raises:
            NotPossibleError: ``result`` is an output and ``source`` an input of the subgraph.
        """
        keep, gone = source, result
        if result in self.graph.outputs:
            maker = self.graph.makers.get(source)
            if maker is None or source in self.graph.ends:
                raise NotPossibleError("it joins an input of the graph to an output")
            self.set_outputs(maker, [result if one == source else one for one in maker.outputs])
            keep, gone = result, source
        for op in self.graph.readers.get(gone, ()):
            current = self._sheet.operators[op.index].inputs
            self.set_inputs(op, [keep if int(one) == gone else int(one) for one in current])

    def constant(
        self,
        like: int,
        name: str,
        data: npt.NDArray[Any],
        *,
        scales: npt.NDArray[np.float32] | None = None,
    ) -> int:
        """Add a constant that is like tensor ``like`` but for its values and scales."""
        tensor = copy(self._sheet.tensors[like])
        tensor.name = name.encode()
        tensor.shape, tensor.shapeSignature = list(data.shape), None
        tensor.buffer = self._buffer(data)
        if scales is not None and tensor.quantization is not None:
            tensor.quantization = copy(tensor.quantization)
            tensor.quantization.scale = scales
            if len(tensor.quantization.zeroPoint) != len(scales):
                tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
        self._sheet.tensors.append(tensor)
        return len(self._sheet.tensors) - 1

    def new_constant(
        self, name: str, data: npt.NDArray[Any], kind: int, scale: float | None
    ) -> int:
        """Add a constant of type ``kind`` with one scale and zero point 0, or with none."""
        tensor = schema.TensorT()
        tensor.name, tensor.type = name.encode(), kind
        tensor.shape, tensor.buffer = list(data.shape), self._buffer(data)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([scale], np.float32)
            tensor.quantization.zeroPoint = np.array([0], np.int64)
        self._sheet.tensors.append(tensor)
        return len(self._sheet.tensors) - 1

    def pack(self) -> bytes:
        """Return the changed file, without tensors and constants that nothing refers to."""
        sheet = self._sheet
        sheet.operators = [
            one for number, one in enumerate(sheet.operators) if number not in self._removed
        ]
        self._prune()
        self._model.buffers = [_aligned(one) for one in self._model.buffers]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), _MARK)
        return bytes(builder.Output())

    def _prune(self) -> None:
        sheet = self._sheet
        maps = [
            entry
            for signature in self._model.signatureDefs or ()
            if signature.subgraphIndex == self.graph.index
            for entry in (*(signature.inputs or ()), *(signature.outputs or ()))
        ]
        lists = [getattr(one, key) for one in sheet.operators for key in ("inputs", "outputs")] + [
            one.intermediates for one in sheet.operators
        ]
        lists += [sheet.inputs, sheet.outputs]
        used = {int(one) for several in lists if several is not None for one in several}
        used |= {int(entry.tensorIndex) for entry in maps}
        kept = [one for one in range(len(sheet.tensors)) if one in used]
        place = {old: new for new, old in enumerate(kept)} | {-1: -1}
        sheet.tensors = [sheet.tensors[one] for one in kept]
        for owner in sheet.operators:
            for key in ("inputs", "outputs", "intermediates"):
                _renumber(owner, key, place)
        for key in ("inputs", "outputs"):
            _renumber(sheet, key, place)
        for entry in maps:
            entry.tensorIndex = place[int(entry.tensorIndex)]
        named = {int(one.buffer) for graph in self._model.subgraphs for one in graph.tensors}
        named |= {int(one.buffer) for one in self._model.metadata or ()}
        named |= {int(one) for one in _items(self._model.metadataBuffer)}
        for number, buffer in enumerate(self._model.buffers):
            if number not in named:
                buffer.data = None

    def _buffer(self, data: npt.NDArray[Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _code(self, code: int, version: int) -> int:
        for number, entry in enumerate(self._model.operatorCodes):
            same = max(entry.builtinCode, entry.deprecatedBuiltinCode) == code
            if same and entry.version == version:
                return number
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.version = code, version
        entry.deprecatedBuiltinCode = min(code, _HIGHEST_OLD_CODE)
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1


def _items(several: Any) -> Any:
    return () if several is None else several


def _renumber(owner: Any, key: str, place: dict[int, int]) -> None:
    several = getattr(owner, key)
    if several is not None:
        setattr(owner, key, [place[int(one)] for one in several])


def _aligned(buffer: Any) -> Any:
    aligned = _AlignedBuffer()
    aligned.data = buffer.data
    return aligned
