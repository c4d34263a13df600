"""Write a denoiser as one .tflite file with a signature for each step.

The subgraphs differ in grids and biases alone, so the weights, and whatever else is equal, are
stored once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgesr.errors import GraphError
from edgesr.export.flatbuffer import ONLY_SIGNATURE, ModelBuilder
from edgesr.export.sheet import DESCRIPTION, Constants, Sheet
from edgesr.export.tflite import float32_constants, int_constants, refuse_widths
from edgesr.graph.graph import Graph
from edgesr.graph.image_inputs import INPUTS, JOINED, input_order, with_image_inputs
from edgesr.graph.ops import Conv2D
from edgesr.quant.scheme import BITS, QParams, QuantizedGraph
from edgesr.quant.weights import quantize_weights

MOST_SIGNATURES = 8
"""Largest number of steps that are given a signature each."""


def signature_names(count: int) -> tuple[str, ...]:
    """Return the signatures of ``count`` steps, the noisiest first."""
    return (ONLY_SIGNATURE,) if count == 1 else tuple(f"step_{n:02d}" for n in range(count))


def with_images(quantized: QuantizedGraph, scale: int) -> QuantizedGraph:
    """Return a step with the images themselves as inputs, all on the grid of the joined tensor.

    Raises:
        GraphError: see ``with_image_inputs``.
    """
    source, target = quantized.graph.inputs[0].name, quantized.graph.outputs[0]
    graph = with_image_inputs(quantized.graph, scale)
    grid = quantized.qparams[source]
    grids = {name: one for name, one in quantized.qparams.items() if name not in {source, target}}
    grids[graph.outputs[0]] = quantized.qparams[target]
    grids |= dict.fromkeys(INPUTS, grid)
    grids |= {op.output: grid for op in graph.ops if op.output not in grids}
    reorder = input_order(scale)
    weights = dict(quantized.weights)
    for op in graph.ops:
        if isinstance(op, Conv2D) and JOINED in op.inputs:
            weights[op.name] = replace(weights[op.name], values=reorder(weights[op.name].values))
    return replace(quantized, graph=graph, qparams=grids, weights=weights)


def write_steps(
    steps: Sequence[QuantizedGraph],
    *,
    shape: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of an int8 file with one signature a step.

    Args:
        steps: networks in sampling order, the noisiest first.
        shape: height and width of the only low-resolution image, or None for every size.
        metadata: text entries for the file; keys start with ``edgesr``.

    Raises:
        GraphError: there is no step, or a tensor or weight has another width than 8 bits.
    """
    for quantized in steps:
        refuse_widths(quantized, activations=BITS)
    sheets = [
        (one.graph, one.qparams, int_constants(one, bias=np.int32, kind="int8")) for one in steps
    ]
    return _written(sheets, shape, metadata)


def write_steps_float32(
    graphs: Sequence[Graph],
    *,
    shape: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of a float32 file with one signature a step; see ``write_steps``."""
    return _written([(one, None, float32_constants) for one in graphs], shape, metadata)


def size_of(first: Graph, second: Graph, *, scale: int, count: int) -> int:
    """Return the bytes of an int8 file of ``count`` steps, without the text of its metadata.

    Files of one and two steps are written with made-up grids in place of calibrated ones.

    Args:
        first: lowered network of one step, with joined input.
        second: the same of another step.
        scale: upscaling factor.
        count: number of steps.

    Raises:
        GraphError: see ``with_image_inputs``.
    """
    made = _made_up(first, 0)
    other = _made_up(second, 1)
    values = {name: one.values for name, one in made.weights.items()}
    shared = {name: replace(one, values=values[name]) for name, one in other.weights.items()}
    steps = [with_images(one, scale) for one in (made, replace(other, weights=shared))]
    one, two = (len(write_steps(steps[:number])) for number in (1, 2))
    return one + (count - 1) * (two - one)


def _written(
    sheets: Sequence[tuple[Graph, Mapping[str, QParams] | None, Constants]],
    shape: tuple[int, int] | None,
    metadata: Mapping[str, str] | None,
) -> bytes:
    if not sheets:
        raise GraphError("no step to write; sample with one at least")
    names = signature_names(len(sheets))
    model = ModelBuilder(name=names[0], description=DESCRIPTION)
    for number, (name, (graph, grids, constants)) in enumerate(zip(names, sheets, strict=True)):
        if number:
            model.subgraph(name)
        sheet = Sheet(graph=graph, grids=grids, constants=constants, shape=shape, onto=model)
        for spec in graph.inputs:
            sheet.activation(spec.name)
        sheet.body()
        model.sign(name, sheet.inputs(), sheet.outputs())
    return model.pack(metadata or {})


def _made_up(graph: Graph, seed: int) -> QuantizedGraph:
    random = np.random.default_rng(seed)
    names = [graph.inputs[0].name, *(op.output for op in graph.ops)]
    grids = {
        one: QParams(scale=np.float32(random.uniform(0.01, 1.0)), zero_point=0) for one in names
    }
    return QuantizedGraph(graph=graph, qparams=grids, weights=quantize_weights(graph, grids))
