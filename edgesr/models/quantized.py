"""Files of trained quantized networks: integers, grids, and the float network they came from."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgesr.errors import CheckpointError, GraphError
from edgesr.graph.capture import capture
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, Op
from edgesr.graph.passes import drop_clip, lower
from edgesr.models.checkpoint import (
    SCHEME_KEY,
    LoadedModel,
    model_of_state,
    read_weights,
    save_weights,
    state_tensor,
    weights_file,
)
from edgesr.quant.mixed import (
    Assignment,
    assigned_layer_bits,
    assigned_tensor_bits,
    assignment_of,
    from_text,
    to_text,
)
from edgesr.quant.scheme import (
    GREY_LEVELS,
    INT8,
    MIXED,
    SCHEMES,
    QParams,
    QuantizedGraph,
    QuantizedWeight,
    Scheme,
    weight_max,
)
from edgesr.quant.widths import layer_bits, tensor_bits

_FLOAT = "float."
_GRID = "grid."
_LAYER = "layer."
_ASSIGNMENT = "precisions"
_LAYER_KEYS = {
    "weight": torch.float32,
    "bias": torch.float32,
    "values": torch.int8,
    "scales": torch.float32,
    "integer_bias": torch.int32,
}


def float_graph(module: nn.Module, name: str) -> Graph:
    """Return the lowered graph that quantization starts from, its final clip left to saturation."""
    graph = lower(capture(module, name=name))
    return drop_clip(graph, low=GREY_LEVELS.low, high=GREY_LEVELS.high)


def save_quantized(
    path: Path, quantized: QuantizedGraph, teacher: LoadedModel, metadata: Mapping[str, str]
) -> None:
    """Write ``quantized`` and the float network to one safetensors file, atomically.

    Scales are stored as they are, float32.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    floats = teacher.module.state_dict()
    # copies: the graph may hold the same memory, and safetensors refuses shared tensors
    state = {f"{_FLOAT}{key}": value.detach().clone() for key, value in floats.items()}
    state |= pack_integers(quantized)
    facts = {**metadata, SCHEME_KEY: quantized.scheme}
    if quantized.scheme == MIXED:
        facts[_ASSIGNMENT] = to_text(assignment_of(quantized))
    save_weights(path, state, model=teacher.descriptor.name, scale=teacher.scale, metadata=facts)


def pack_integers(quantized: QuantizedGraph) -> dict[str, Tensor]:
    """Return what a file holds of a quantized network; ``unpack_integers`` undoes it."""
    state: dict[str, Tensor] = {}
    for name, grid in quantized.qparams.items():
        state[f"{_GRID}{name}.scale"] = torch.from_numpy(np.array([grid.scale], np.float32))
        state[f"{_GRID}{name}.zero_point"] = torch.tensor([grid.zero_point], dtype=torch.int32)
    for op in quantized.graph.ops:
        if isinstance(op, (Conv2D, DepthwiseConv2D)):
            integers = quantized.weights[op.name]
            values = (op.weight, op.bias, integers.values, integers.scales, integers.bias)
            for key, value in zip(_LAYER_KEYS, values, strict=True):
                # a copy: graph and file must not share memory
                state[f"{_LAYER}{op.name}.{key}"] = torch.from_numpy(np.array(value, order="C"))
    return state


def load_exportable(
    path: Path, *, model: str | None = None, scale: int | None = None
) -> tuple[LoadedModel, QuantizedGraph | None]:
    """Load the float network of a checkpoint, and its trained integers where it has them.

    Args:
        path: weights file or run folder, of a float network or of a quantized one.
        model: see ``load_model``.
        scale: see ``load_model``.

    Raises:
        CheckpointError: the file is missing, damaged, or of another network.
    """
    path = weights_file(Path(path))
    state, metadata = read_weights(path)
    scheme = metadata.get(SCHEME_KEY)
    if scheme is None:
        return model_of_state(path, state, metadata, model=model, scale=scale), None
    if scheme not in {*SCHEMES, MIXED}:
        known = ", ".join(SCHEMES)
        raise CheckpointError(f"{path}: is of scheme {scheme}, want one of {known}; update edgesr")
    floats = {k.removeprefix(_FLOAT): v for k, v in state.items() if k.startswith(_FLOAT)}
    teacher = model_of_state(path, floats, metadata, model=model, scale=scale)
    graph = float_graph(teacher.module, teacher.descriptor.name)
    try:
        if scheme == MIXED:
            layers = from_text(metadata.get(_ASSIGNMENT, ""), graph)
            return teacher, unpack_integers(path, graph, state, INT8, layers)
        return teacher, unpack_integers(path, graph, state, SCHEMES[scheme])
    except GraphError as error:
        raise CheckpointError(f"{path}: {error}; use an earlier checkpoint") from error


def unpack_integers(
    path: Path,
    graph: Graph,
    state: Mapping[str, Tensor],
    scheme: Scheme,
    assignment: Assignment | None = None,
) -> QuantizedGraph:
    """Return the quantized network whose tensors ``pack_integers`` gave.

    Args:
        path: file, for messages.
        graph: float network, see ``float_graph``.
        state: tensors by name; others are ignored.
        scheme: of the integers.
        assignment: precision by layer, where the integers are in mixed precision.

    Raises:
        CheckpointError: a tensor is missing, of another shape or dtype, or out of range.
        GraphError: a grid's scale is not positive and finite.
    """
    tensors, layers = tensor_bits(graph, scheme), layer_bits(graph, scheme)
    if assignment is not None:
        tensors = assigned_tensor_bits(graph, assignment)
        layers = assigned_layer_bits(graph, assignment)
    names = [*(spec.name for spec in graph.inputs), *(op.output for op in graph.ops)]
    qparams = {
        name: QParams(
            scale=np.float32(_tensor(path, state, f"{_GRID}{name}.scale", (1,), torch.float32)[0]),
            zero_point=int(_tensor(path, state, f"{_GRID}{name}.zero_point", (1,), torch.int32)[0]),
            bits=tensors[name],
        )
        for name in names
    }
    ops: list[Op] = []
    weights: dict[str, QuantizedWeight] = {}
    for op in graph.ops:
        if not isinstance(op, (Conv2D, DepthwiseConv2D)):
            ops.append(op)
            continue
        shapes = (op.weight.shape, op.bias.shape, op.weight.shape, op.bias.shape, op.bias.shape)
        weight, bias, values, scales, integer_bias = (
            _tensor(path, state, f"{_LAYER}{op.name}.{key}", shape, dtype).numpy()
            for (key, dtype), shape in zip(_LAYER_KEYS.items(), shapes, strict=True)
        )
        largest = weight_max(layers[op.name])
        outside = np.abs(values.astype(np.int16)).max() > largest
        if not (np.isfinite(scales).all() and (scales > 0).all()) or outside:
            raise CheckpointError(
                f"{path}: layer {op.name} has weight scales that are not positive and finite or "
                f"codes beyond {largest}; use an earlier checkpoint"
            )
        ops.append(replace(op, weight=weight, bias=bias))
        weights[op.name] = QuantizedWeight(
            values=values, scales=scales, bias=integer_bias, bits=layers[op.name]
        )
    graph = replace(graph, ops=tuple(ops))
    name = scheme.name if assignment is None else MIXED
    return QuantizedGraph(graph=graph, qparams=qparams, weights=weights, scheme=name)


_tensor = partial(state_tensor, remedy="it was written by another version of edgesr, train again")
