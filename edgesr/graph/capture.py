"""Turn a torch module into a graph.

``torch.export`` traces the module; every traced operation is looked up in one table. What is not
there is refused by name, with the nearest form that is.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgesr.errors import GraphError
from edgesr.graph import from_aten
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Op
from edgesr.graph.unsupported import nearest_form

EXAMPLE_SIZE = (24, 32)
"""Height and width of the image that a module is traced with; the graph keeps no size."""


@dataclass
class _Trace:
    """What is known while the traced operations are read one by one."""

    constants: Mapping[str, Tensor]
    owners: Mapping[str, str]
    tensors: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    ops: list[Op] = field(default_factory=list)


def capture(module: nn.Module, *, name: str, channels: int = 3) -> Graph:
    """Capture ``module`` in evaluation mode as a graph from tensor ``lr`` to tensor ``sr``.

    Args:
        module: takes one float tensor ``(n, channels, h, w)`` and returns one.
        name: name of the network, for messages.
        channels: channels of the input.

    Raises:
        GraphError: the module cannot be traced or holds an operation that is not supported; the
            message names layer, operation and the nearest supported form.
    """
    program = _export(module, name, channels)
    trace = _Trace(constants=_constants(program), owners=_owners(program))
    image = program.graph_signature.user_inputs
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in image:
            trace.tensors[node.name] = "lr"
        elif node.op == "call_function":
            _translate(node, trace)
    result = program.graph_signature.user_outputs
    if len(image) != 1 or len(result) != 1 or result[0] not in trace.tensors:
        raise GraphError(
            f"{name}: has {len(image)} inputs and {len(result)} outputs, want one image in and one "
            "out; wrap the network in a module with that forward"
        )
    ops = _with_output(trace.ops, trace.tensors[result[0]])
    spec = TensorSpec(name="lr", channels=channels)
    return Graph(name=name, inputs=(spec,), outputs=("sr",), ops=ops)


def _export(module: nn.Module, name: str, channels: int) -> torch.export.ExportedProgram:
    training = module.training
    module.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecations inside export
            program = torch.export.export(module, (torch.zeros(1, channels, *EXAMPLE_SIZE),))
            if any(_is_in_place(node) for node in program.graph.nodes):
                program = program.run_decompositions({})
    except Exception as error:  # torch.export raises anything
        reason = " ".join(str(error).split())[:200]
        raise GraphError(
            f"{name}: torch.export cannot trace it ({reason}); want a forward without control flow "
            "that depends on values"
        ) from error
    finally:
        module.train(training)
    return program


def _is_in_place(node: fx.Node) -> bool:
    # what picks one of several results is no operation of aten and has no dots
    return node.op == "call_function" and str(node.target).rpartition(".")[0].endswith("_")


def _constants(program: torch.export.ExportedProgram) -> dict[str, Tensor]:
    signature = program.graph_signature
    stored: dict[str, Any] = {**program.constants, **program.state_dict}
    placeholders = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {node: stored[path].detach() for node, path in placeholders.items()}


def _owners(program: torch.export.ExportedProgram) -> dict[str, str]:
    """Return the module path that holds each parameter and buffer, by placeholder name."""
    signature = program.graph_signature
    paths = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    return {node: path.rpartition(".")[0] for node, path in paths.items()}


def _translate(node: fx.Node, trace: _Trace) -> None:
    target = str(node.target)
    layer = _layer(node, trace)
    if target in from_aten.IDENTITIES:
        trace.tensors[node.name] = trace.tensors[_arg_name(node)]
        return
    translate = from_aten.TRANSLATIONS.get(target)
    if translate is None:
        operation, form = nearest_form(target, from_aten.TRANSLATIONS)
        raise GraphError(f"layer {layer}: operation {operation} is not supported; {form}")
    name = _unique(layer, trace.names)
    call = from_aten.Call(
        name=name,
        output=name,
        args=tuple(_resolve(argument, trace) for argument in node.args),
        kwargs={key: _resolve(value, trace) for key, value in node.kwargs.items()},
        channels=_channels(node),
    )
    trace.ops += translate(call)
    trace.names.update(op.name for op in trace.ops)
    trace.tensors[node.name] = trace.ops[-1].output


def _resolve(value: Any, trace: _Trace) -> Any:
    """Replace nodes by the name of their tensor, or by their value where it is constant."""
    if isinstance(value, fx.Node):
        if value.name in trace.constants:
            return trace.constants[value.name]
        return trace.tensors.get(value.name, value.name)
    if isinstance(value, (list, tuple)):
        return [_resolve(item, trace) for item in value]
    return value


def _layer(node: fx.Node, trace: _Trace) -> str:
    for source in node.all_input_nodes:
        owner = trace.owners.get(source.name)
        if owner:
            return owner
    stack = node.meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    return path or node.name


def _unique(layer: str, taken: set[str]) -> str:
    name, count = layer, 1
    while name in taken or name in {"lr", "sr"}:
        count += 1
        name = f"{layer}_{count}"
    return name


def _arg_name(node: fx.Node) -> str:
    return node.all_input_nodes[0].name


def _channels(node: fx.Node) -> int:
    """Return the channels of the operation's first tensor argument, or of its result."""
    for source in (*node.all_input_nodes, node):
        value = source.meta.get("val")
        if isinstance(value, Tensor) and value.ndim == len("nchw"):
            return int(value.shape[1])
    return 0


def _with_output(ops: list[Op], output: str) -> tuple[Op, ...]:
    renamed = {output: "sr"}
    return tuple(
        replace(
            op,
            inputs=tuple(renamed.get(name, name) for name in op.inputs),
            output=renamed.get(op.output, op.output),
        )
        for op in ops
    )
