"""Write a denoiser as one .tflite file with a signature for each step, and one for its centre.

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
from edgesr.upscalers.step_schedule import CENTRE

Written = tuple[Graph, Mapping[str, QParams] | None, Constants]

MOST_SIGNATURES = 8
"""Largest number of steps that are given a signature each."""


def signature_names(count: int, *, has_centre: bool = False) -> tuple[str, ...]:
    """Return the signatures of ``count`` steps, the noisiest first.

    Args:
        count: of steps.
        has_centre: whether the file has a signature for the centre beside them.
    """
    if count == 1 and not has_centre:
        return (ONLY_SIGNATURE,)
    return tuple(f"step_{n:02d}" for n in range(count))


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
    centre: QuantizedGraph | None = None,
    shape: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of an int8 file with one signature a step.

    Args:
        steps: networks in sampling order, the noisiest first.
        centre: the network that makes the centre, of one image; it becomes signature ``centre``,
            behind the steps. None for the bicubic one.
        shape: height and width of the only low-resolution image, or None for every size.
        metadata: text entries for the file; keys start with ``edgesr``.

    Raises:
        GraphError: there is no step, or a tensor or weight has another width than 8 bits.
    """
    made = [*steps, *([] if centre is None else [centre])]
    for quantized in made:
        refuse_widths(quantized, activations=BITS)
    sheets: list[Written] = [
        (one.graph, one.qparams, int_constants(one, bias=np.int32, kind="int8")) for one in made
    ]
    last = None if centre is None else sheets.pop()
    return _written(sheets, last, shape, metadata)


def write_steps_float32(
    graphs: Sequence[Graph],
    *,
    centre: Graph | None = None,
    shape: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of a float32 file with one signature a step; see ``write_steps``."""
    last: Written | None = None if centre is None else (centre, None, float32_constants)
    return _written([(one, None, float32_constants) for one in graphs], last, shape, metadata)


def size_of(
    first: Graph, second: Graph, *, scale: int, count: int, centre: Graph | None = None
) -> int:
    """Return the bytes of an int8 file of ``count`` steps, without the text of its metadata.

    Files of one and two steps are written with made-up grids in place of calibrated ones.

    Args:
        first: lowered network of one step, with joined input.
        second: the same of another step.
        scale: upscaling factor.
        count: number of steps.
        centre: lowered network that makes the centre; None for the bicubic one.

    Raises:
        GraphError: see ``with_image_inputs``.
    """
    last = None if centre is None else _made_up(centre, 2)
    made = _made_up(first, 0)
    other = _made_up(second, 1)
    values = {name: one.values for name, one in made.weights.items()}
    shared = {name: replace(one, values=values[name]) for name, one in other.weights.items()}
    steps = [with_images(one, scale) for one in (made, replace(other, weights=shared))]
    one, two = (len(write_steps(steps[:number], centre=last)) for number in (1, 2))
    return one + (count - 1) * (two - one)


def _written(
    sheets: Sequence[Written],
    centre: Written | None,
    shape: tuple[int, int] | None,
    metadata: Mapping[str, str] | None,
) -> bytes:
    if not sheets:
        raise GraphError("no step to write; sample with one at least")
    names = signature_names(len(sheets), has_centre=centre is not None)
    model = ModelBuilder(name=names[0], description=DESCRIPTION)
    for number, (name, (graph, grids, constants)) in enumerate(zip(names, sheets, strict=True)):
        if number:
            model.subgraph(name)
        sheet = Sheet(graph=graph, grids=grids, constants=constants, shape=shape, onto=model)
        for spec in graph.inputs:
            sheet.activation(spec.name)
        sheet.body()
        model.sign(name, sheet.inputs(), sheet.outputs())
    if centre is not None:
        model.subgraph(CENTRE)
        _add_centre(
            Sheet(graph=centre[0], grids=centre[1], constants=centre[2], shape=shape, onto=model)
        )
    return model.pack(metadata or {})


def _add_centre(sheet: Sheet) -> None:
    (spec,), (output,) = sheet.graph.inputs, sheet.graph.outputs
    number = sheet.activation(spec.name, label=INPUTS[2])
    sheet.body(labels={output: CENTRE})
    sheet.model.sign(CENTRE, {INPUTS[2]: number}, {CENTRE: sheet.numbers[output]})


def _made_up(graph: Graph, seed: int) -> QuantizedGraph:
    random = np.random.default_rng(seed)
    names = [graph.inputs[0].name, *(op.output for op in graph.ops)]
    grids = {
        one: QParams(scale=np.float32(random.uniform(0.01, 1.0)), zero_point=0) for one in names
    }
    return QuantizedGraph(graph=graph, qparams=grids, weights=quantize_weights(graph, grids))
