"""Read back what a .tflite file holds, from the flatbuffer alone."""

from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
_TYPES = {code: name for name, code in vars(schema.TensorType).items() if name.isupper()}


@dataclass(frozen=True, kw_only=True)
class FileContent:
    """What a file holds.

    Attributes:
        operators: names such as ``CONV_2D`` in execution order.
        inner_types: types such as ``INT8`` of all tensors but the inputs and outputs.
        tensors: names of all tensors.
        buffer_offsets: position in the file of every buffer's data.
    """

    operators: tuple[str, ...]
    inner_types: frozenset[str]
    tensors: tuple[str, ...]
    buffer_offsets: tuple[int, ...]


def read_content(content: bytes, *, subgraph: int = 0) -> FileContent:
    """Return what one subgraph of a .tflite file holds; the buffers are all the file's."""
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(subgraph)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    names = [_OPERATORS[max(c.BuiltinCode(), c.DeprecatedBuiltinCode())] for c in codes]
    operators = [graph.Operators(index).OpcodeIndex() for index in range(graph.OperatorsLength())]
    ends = {graph.Inputs(index) for index in range(graph.InputsLength())}
    ends |= {graph.Outputs(index) for index in range(graph.OutputsLength())}
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    offsets = []
    for index in range(model.BuffersLength()):
        table = model.Buffers(index)._tab  # noqa: SLF001 - the schema offers no other way
        field = table.Offset(4)
        if field:
            offsets.append(table.Vector(field))
    return FileContent(
        operators=tuple(names[code] for code in operators),
        inner_types=frozenset(
            _TYPES[tensor.Type()] for index, tensor in enumerate(tensors) if index not in ends
        ),
        tensors=tuple(tensor.Name().decode() for tensor in tensors),
        buffer_offsets=tuple(offsets),
    )
