"""The rewrites that ``--fix`` tries. None of them is believed: ``proof`` runs before and after."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgesr.lint.edit import Editor, NotPossibleError
from edgesr.lint.findings import Finding
from edgesr.lint.model import Operator, Subgraph, Tensor
from edgesr.lint.shuffle import Chain, find_chains

_OPTIONS = schema.BuiltinOptions
_ELEMENTWISE = frozenset(
    {
        "ABS",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "TANH",
    }
)
_PAIRWISE = frozenset({"ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB"})
_FUSED = {
    "RELU": schema.ActivationFunctionType.RELU,
    "RELU6": schema.ActivationFunctionType.RELU6,
    "RELU_N1_TO_1": schema.ActivationFunctionType.RELU_N1_TO_1,
}
_CONV_VERSION = {"INT8": 3, "FLOAT32": 1}
_Order = tuple[int, ...]


def rewrite(content: bytes, graph: Subgraph, finding: Finding) -> bytes:
    """Return a file with the rewrite of one finding.

    Args:
        content: the file.
        graph: the finding's subgraph, as read from it.
        finding: one with a ``fix``.

    Raises:
        NotPossibleError: the file does not allow it; the message says why.
    """
    if finding.operator is None:
        raise NotPossibleError("it is about no operator")
    editor = Editor(content, graph)
    REWRITES[finding.fix](editor, graph.operators[finding.operator])
    return editor.pack()


def _version(editor: Editor, op: Operator) -> None:
    editor.set_version(op, 1)


def _identity(editor: Editor, op: Operator) -> None:
    editor.skip(op.inputs[0], op.outputs[0])
    editor.remove(op)


def _bypass(editor: Editor, op: Operator) -> None:
    chain = _chain_at(editor.graph, op)
    editor.skip(chain.source.index, chain.result.index)
    for one in chain.operators:
        editor.remove(one)


def _fuse(editor: Editor, op: Operator) -> None:
    maker = editor.graph.makers[op.inputs[0]]
    editor.options(maker).fusedActivationFunction = _FUSED[op.name]
    editor.set_outputs(maker, op.outputs)
    editor.remove(op)


def _relu6(editor: Editor, op: Operator) -> None:
    """Fold a MINIMUM at 6 into the RELU before it."""
    maker = editor.graph.makers[op.inputs[0]]
    if maker.name == "RELU":
        editor.replace(
            maker, "RELU6", version=maker.version, inputs=maker.inputs, outputs=op.outputs
        )
    else:
        editor.options(maker).fusedActivationFunction = _FUSED["RELU6"]
        editor.set_outputs(maker, op.outputs)
    editor.remove(op)


def _nearest(editor: Editor, op: Operator) -> None:
    source, output = (editor.graph.tensors[one] for one in (op.inputs[0], op.outputs[0]))
    version = _CONV_VERSION.get(source.dtype)
    if version is None or source.dtype != output.dtype or source.grid != output.grid:
        raise NotPossibleError("it is neither float32 nor int8 on one scale")
    channels, copies = source.shape[3], len(op.inputs)
    chosen = np.tile(np.eye(channels), (copies, 1)).reshape(channels * copies, 1, 1, channels)
    scale = None if source.grid is None else source.grid[0]
    integer = source.dtype == "INT8"
    weight = editor.new_constant(
        f"{output.name}/copies",
        chosen.astype(np.int8 if integer else np.float32),
        schema.TensorType.INT8 if integer else schema.TensorType.FLOAT32,
        1.0 if integer else None,
    )
    bias = editor.new_constant(
        f"{output.name}/bias",
        np.zeros(channels * copies, np.int32 if integer else np.float32),
        schema.TensorType.INT32 if integer else schema.TensorType.FLOAT32,
        scale if integer else None,
    )
    options = schema.Conv2DOptionsT()
    options.strideW = options.strideH = 1
    options.dilationWFactor = options.dilationHFactor = 1
    editor.replace(
        op,
        "CONV_2D",
        version=version,
        inputs=[source.index, weight, bias],
        outputs=op.outputs,
        options=(_OPTIONS.Conv2DOptions, options),
    )


def _shuffle(editor: Editor, op: Operator) -> None:
    chain = _chain_at(editor.graph, op)
    if chain.source.integer and chain.source.grid != chain.result.grid:
        raise NotPossibleError("the chain changes the scale")
    if chain.order != tuple(range(len(chain.order))):
        _reorder(editor, chain.source, chain.order)
    options = schema.DepthToSpaceOptionsT()
    options.blockSize = chain.block
    editor.replace(
        op,
        "DEPTH_TO_SPACE",
        version=1,
        inputs=[chain.source.index],
        outputs=[chain.result.index],
        options=(_OPTIONS.DepthToSpaceOptions, options),
    )
    for one in chain.operators[1:]:
        editor.remove(one)


def _chain_at(graph: Subgraph, op: Operator) -> Chain:
    return next(one for one in find_chains(graph) if one.operators[0].index == op.index)


def _reorder(editor: Editor, tensor: Tensor, order: _Order) -> None:
    """Let channel ``k`` of a tensor hold what channel ``order[k]`` held."""
    graph = editor.graph
    maker = graph.makers.get(tensor.index)
    if maker is None or graph.follower(tensor.index) is None:
        raise NotPossibleError(f"{tensor} is an input or read by others, so that its channels stay")
    if maker.name == "CONV_2D":
        _reorder_layer(editor, maker, order)
    elif maker.name in _ELEMENTWISE:
        _reorder(editor, graph.tensors[maker.inputs[0]], order)
    elif maker.name in _PAIRWISE and len(set(maker.inputs)) == len(maker.inputs):
        inputs = [_reordered_operand(editor, one, tensor, order) for one in graph.read(maker)]
        editor.set_inputs(maker, inputs)
    else:
        raise NotPossibleError(f"the channels of {maker} cannot be reordered")


def _reordered_operand(editor: Editor, one: Tensor, like: Tensor, order: _Order) -> int:
    if not one.constant:
        if one.shape != like.shape:
            raise NotPossibleError(f"{one} is spread over the channels of {like}")
        _reorder(editor, one, order)
        return one.index
    values = one.values()
    if values is None:
        raise NotPossibleError(f"{one} has no values that can be reordered")
    if not values.shape or values.shape[-1] == 1:
        return one.index
    return editor.constant(one.index, one.name, values[..., list(order)])


def _reorder_layer(editor: Editor, op: Operator, order: _Order) -> None:
    inputs = list(op.inputs)
    for place in (1, 2):
        one = editor.graph.input(op, place)
        if one is None and place > 1:
            continue
        values = None if one is None else one.values()
        if one is None or values is None or values.shape[:1] != (len(order),):
            raise NotPossibleError(f"weights of {op} are no plain constants")
        scales: npt.NDArray[np.float32] | None = None
        if len(one.scales) > 1:
            scales = np.asarray(one.scales, np.float32)[list(order)]
        inputs[place] = editor.constant(one.index, one.name, values[list(order)], scales=scales)
    editor.set_inputs(op, inputs)


REWRITES: Mapping[str, Callable[[Editor, Operator], None]] = MappingProxyType(
    {
        "nearest": _nearest,
        "version": _version,
        "identity": _identity,
        "relu6": _relu6,
        "fuse": _fuse,
        "bypass": _bypass,
        "shuffle": _shuffle,
    }
)
"""By name in a finding, in the order in which they are tried: copies before the shuffle, because
channels of a convolution can be reordered and those of a CONCATENATION cannot."""
